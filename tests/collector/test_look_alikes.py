"""Which names may pass for others, and that one name is not two."""

import time

import pytest

from collector.decoders import decode_group
from collector.look_alikes import HIDDEN, MIXED, caution, cautions, composed
from collector.model import Signal
from tests.collector.messages import span, traces
from tests.collector.reports import report
from tests.collector.zipkin_bodies import fresh, json_body

CYRILLIC = "\u0440\u0430ypal"  # its first two letters
APART, TOGETHER = "cafe\u0301", "caf\u00e9"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("paypal", ""),
        ("cart-1.shop", ""),
        (TOGETHER, ""),
        (CYRILLIC, MIXED),
        (f"shop.{CYRILLIC}.svc", MIXED),
        ("\u043f\u0440\u0438\u043c\u0435\u0440-api", ""),  # Cyrillic, and another word in Latin
        ("\u03a9mega", MIXED),
        ("\u6771\u4eac\u30bf\u30ef\u30fc", ""),  # Han and Katakana, as Japanese is written
        ("\u00b5service", ""),
        ("pay\u200bpal", HIDDEN),
        ("pay\u202elap", HIDDEN),
        ("pay\x1b[31mpal", HIDDEN),
        ("", ""),
    ],
)
def test_a_name_is_what_it_looks_like_or_not(name, why):
    assert caution(name) == why


def test_texts_of_a_rule_are_looked_through_whole():
    rule = {
        "match": f'source.service == "{CYRILLIC}"\n|| true',
        "limits": [{"key": "pay\u200bpal"}, 7, None],
    }
    assert cautions(rule) == [
        f"{MIXED}: 'source.service == \"\\u0440\\u0430ypal\"\\n|| true'",
        f"{HIDDEN}: 'pay\\u200bpal'",
    ]
    assert len(cautions([f"{CYRILLIC}{number}" for number in range(100)])) == 10


def test_a_name_is_one_however_it_is_written():
    assert composed(APART) == composed(TOGETHER) == TOGETHER
    now_ns = time.time_ns()
    otlp = [report(traces(span(), service=name), received_ns=now_ns) for name in (APART, TOGETHER)]
    told = [fresh(localEndpoint={"serviceName": name}) for name in (APART, TOGETHER)]
    zipkin = [report(json_body(each), Signal.ZIPKIN_JSON, received_ns=now_ns) for each in told]
    for reports in (otlp, zipkin):
        decoded = decode_group(reports, 1).tables["spans"]
        assert decoded["service"] == [TOGETHER, TOGETHER]
