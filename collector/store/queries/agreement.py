"""How far a shadow rule, or a draft, agrees with what was decided: a matrix of the two answers."""

import math

from collector.decisions.decided import Cell, Example
from collector.store.client import Store

CONFIDENT = 1.96  # standard deviations about a normal estimate that hold 95 of 100

# All on which the two differ are recorded, with weight 1; of the others a sample, each standing for
# `weight`. Rows sampled with probability 1 / weight make the sum's variance that of `variance`.
# `place`: where in the lists the rule's own answer is. Of a shadow rule the live answer is the
# decision's. What has no dimensions is told by who asked. Examples sort the newest first.
SQL = """
WITH
    indexOf(beside_rule, %(rule)s) AS place,
    beside_live[place] AS draft_of,
    if(beside_key[place] = '', source, beside_key[place]) AS who
SELECT
    live,
    beside,
    sum(key_requests) AS requests,
    sum(key_recorded) AS recorded,
    sum(key_variance) AS variance,
    arraySlice(
        arraySort(key -> (-key.2, key.1), groupArrayIf((key, key_requests), live != beside)), 1, 20
    ) AS keys,
    arraySlice(
        arraySort(arrayFlatten(groupArrayIf(key_examples, live != beside))), 1, 10
    ) AS examples
FROM
(
    SELECT
        if(draft_of < 0, allowed, toUInt8(draft_of)) AS live,
        beside_allowed[place] AS beside,
        who AS key,
        sum(weight) AS key_requests,
        count() AS key_recorded,
        sum(weight * (weight - 1)) AS key_variance,
        groupArraySorted(10)(
            (-toUnixTimestamp64Nano(time), id, source, destination, who)
        ) AS key_examples
    FROM decisions
    WHERE toStartOfFiveMinutes(time)
            >= toStartOfFiveMinutes(fromUnixTimestamp64Nano(%(start_ns)s))
        AND time >= fromUnixTimestamp64Nano(%(start_ns)s)
        AND time < fromUnixTimestamp64Nano(%(end_ns)s)
        AND has(beside_rule, %(rule)s)
        AND beside_version[place] = %(version)s
    GROUP BY live, beside, key
)
GROUP BY live, beside
ORDER BY live DESC, beside DESC
"""


def agreement(store: Store, rule: str, version: int, start_ns: int, end_ns: int) -> list[Cell]:
    """Of the answers that this version of the rule gave in [start_ns, end_ns). Raises StoreDown."""
    params = {"rule": rule, "version": version, "start_ns": start_ns, "end_ns": end_ns}
    return [
        Cell(
            bool(live),
            bool(beside),
            requests,
            recorded,
            CONFIDENT * math.sqrt(variance),
            keys,
            [Example(-example[0], *example[1:]) for example in examples],
        )
        for live, beside, requests, recorded, variance, keys, examples in store.rows(SQL, params)
    ]
