"""Lists in pages: a JSON array, how many there are in all, and where the next page is.

The next page begins behind the last item of this one, whatever came or went meanwhile.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response

from collector.api.problems import Responses

MAX_PAGE = 1000
TOTAL = "x-total-count"
PAGED: Responses = {
    200: {
        "headers": {
            TOTAL: {"schema": {"type": "integer"}, "description": "all that were asked for"},
            "link": {
                "schema": {"type": "string"},
                "description": 'the next page, relative: <…>; rel="next"; none: this is the last',
            },
        }
    }
}  # fmt: skip
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="at most so many")]
PRINTABLE = r"^[^\x00-\x1f]*$"
Text = Annotated[str, Query(max_length=255, pattern=PRINTABLE)]


def page(
    request: Request,
    items: Sequence[Any],
    total: int | None = None,
    behind: Mapping[str, str | int] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`behind` are the parameters by which the next page differs; None: there is none.

    Made whole in the thread that read the items: the loop has checks to answer.
    """
    answer = Response(encode(items), media_type="application/json", headers=dict(headers or {}))
    if total is not None:
        answer.headers[TOTAL] = str(total)
    if behind:
        there = request.url.include_query_params(**behind)
        answer.headers["link"] = f'<{there.path}?{there.query}>; rel="next"'
    return answer


def encode(value: Any) -> bytes:
    """JSON; times as RFC 3339."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=written).encode()


def written(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON")
