"""Between collector and worker: groups over HTTP.

`GET /internal/groups/7?collector_id=…` answers with the group's reports, each as a frame:

    length of the header, 4 bytes, big-endian
    header, JSON: {"signal": …, "identity": …, "received_ns": …, "size": …}
    body, `size` bytes, as it was accepted

and how many there are in `x-meshmeter-reports`. 410: not pending (any more). 421: another
collector answers at this address now. `POST …/done`, `POST …/failed` and `POST …/put-back` tell
how it went. With an internal token they ask for it; without one they answer loopback only.
"""

import hmac
import json
import struct
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel

from collector.errors import Malformed, Unready
from collector.groups import OutboxGroups
from collector.model import Report, Signal
from collector.outbox import Outbox
from collector.settings import Settings

MEDIA_TYPE = "application/x-meshmeter-reports"
COUNT_HEADER = "x-meshmeter-reports"
LENGTH = struct.Struct(">I")
TIMEOUT = httpx.Timeout(10, connect=2)


def encode_reports(reports: Sequence[Report]) -> bytes:
    frames: list[bytes] = []
    for report in reports:
        header = {
            "signal": report.signal.value,
            "identity": report.identity,
            "received_ns": report.received_ns,
            "size": len(report.body),
        }
        text = json.dumps(header).encode()
        frames += (LENGTH.pack(len(text)), text, report.body)
    return b"".join(frames)


def decode_reports(data: bytes) -> list[Report]:
    """Raises Malformed."""
    reports: list[Report] = []
    offset = 0
    try:
        while offset < len(data):
            (length,) = LENGTH.unpack_from(data, offset)
            start = offset + LENGTH.size + length
            header = json.loads(data[offset + LENGTH.size : start])
            offset = start + header["size"]
            if offset > len(data):
                raise Malformed("the last report is cut short")
            body = data[start:offset]
            signal = Signal(header["signal"])
            reports.append(Report(signal, body, header["received_ns"], header["identity"]))
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise Malformed(f"not a group of reports: {type(error).__name__}") from error
    return reports


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
        reports = groups.fetch(group)
        if not reports:
            raise HTTPException(410, "the group is not pending")
        headers = {COUNT_HEADER: str(len(reports))}
        return Response(encode_reports(reports), media_type=MEDIA_TYPE, headers=headers)

    @routes.post("/{group}/done", status_code=204)
    def done(group: int) -> None:
        groups.done(group)

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


class HttpGroups:
    """`Groups` of a collector elsewhere. Raises Unready when it does not answer as it should."""

    def __init__(
        self, client: httpx.Client, collector_url: str, collector_id: str, token: str
    ) -> None:
        self._client = client
        self._url = f"{collector_url.rstrip('/')}/internal/groups"
        self._params = {"collector_id": collector_id}
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def fetch(self, group: int) -> Sequence[Report]:
        answer = self._request("GET", f"{group}")
        if answer.status_code == httpx.codes.GONE:
            return []
        try:
            reports = decode_reports(self._expect_success(answer).content)
        except Malformed as error:
            raise Unready(f"{answer.url} answered with what cannot be read: {error}") from error
        if answer.headers.get(COUNT_HEADER) != str(len(reports)):
            raise Unready(f"{answer.url} answered with part of a group")
        return reports

    def done(self, group: int) -> None:
        self._expect_success(self._request("POST", f"{group}/done"))

    def failed(self, group: int, reason: str) -> None:
        told = {"reason": reason}
        self._expect_success(self._request("POST", f"{group}/failed", told))

    def put_back(self, group: int, *, taken: bool) -> None:
        told = {"taken": taken}
        self._expect_success(self._request("POST", f"{group}/put-back", told))

    def _request(self, method: str, path: str, told: object = None) -> httpx.Response:
        url = f"{self._url}/{path}"
        try:
            return self._client.request(
                method, url, params=self._params, headers=self._headers, json=told, timeout=TIMEOUT
            )
        except httpx.HTTPError as error:
            raise Unready(f"no answer from {url}: {str(error) or type(error).__name__}") from error

    @staticmethod
    def _expect_success(answer: httpx.Response) -> httpx.Response:
        if not answer.is_success:
            raise Unready(f"{answer.url} answered {answer.status_code}")
        return answer
