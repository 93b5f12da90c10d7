"""Between collector and worker: groups over HTTP, the collector's side.

`GET /internal/groups/7?collector_id=…` answers with the group's reports (`group_frames`), how many
there are in `x-meshmeter-reports`, and the number of the attempt in `x-meshmeter-attempt`. 410: not
pending (any more). 421: another collector answers at this address now. `POST …/names` answers
which of the names in it are over the budget. `POST …/done`,
`POST …/failed` and `POST …/put-back` tell how it went. With an internal token they ask for it;
without one they answer loopback only.
"""

import hmac
from ipaddress import ip_address
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel

from collector.group_frames import (
    ATTEMPT_HEADER,
    COUNT_HEADER,
    MEDIA_TYPE,
    REPLAYED_HEADER,
    encode_reports,
)
from collector.groups import OutboxGroups
from collector.model import Account, Names
from collector.outbox import Outbox
from collector.settings import Settings


class Done(BaseModel):
    accounts: list[Account]


class Failure(BaseModel):
    reason: str


class PutBack(BaseModel):
    taken: bool


def router(outbox: Outbox, settings: Settings) -> APIRouter:
    """For workers only: not part of the API."""
    groups = OutboxGroups(outbox)

    def admit(request: Request, collector_id: Annotated[str, Query()]) -> None:
        if not admitted(request, settings.internal_token):
            raise HTTPException(403, "the internal token is asked for")
        if collector_id != groups.collector_id:
            raise HTTPException(421, "another collector answers at this address")

    routes = APIRouter(
        prefix="/internal/groups", include_in_schema=False, dependencies=[Depends(admit)]
    )

    @routes.get("/{group}")
    def fetch(group: int) -> Response:
        taken = groups.fetch(group)
        if taken is None:
            raise HTTPException(410, "the group is not pending")
        headers = {
            COUNT_HEADER: str(len(taken.reports)),
            ATTEMPT_HEADER: str(taken.attempt),
            REPLAYED_HEADER: str(int(taken.replayed)),
        }
        return Response(encode_reports(taken.reports), media_type=MEDIA_TYPE, headers=headers)

    @routes.post("/{group}/names")
    def over(group: int, names: dict[str, dict[str, list[str]]]) -> Names:
        return groups.over(group, names)

    @routes.post("/{group}/done", status_code=204)
    def done(group: int, told: Done) -> None:
        groups.done(group, told.accounts)

    @routes.post("/{group}/failed", status_code=204)
    def failed(group: int, failure: Failure) -> None:
        groups.failed(group, failure.reason[:500])

    @routes.post("/{group}/put-back", status_code=204)
    def put_back(group: int, told: PutBack) -> None:
        groups.put_back(group, taken=told.taken)

    return routes


def admitted(request: Request, token: str) -> bool:
    if token:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    # Whoever speaks through a proxy on this host is not on this host.
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return False
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
