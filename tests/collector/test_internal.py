import asyncio

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Malformed, Unready
from collector.group_client import HttpGroups
from collector.group_frames import decode_reports, encode_reports
from collector.internal import router
from collector.model import Report, Signal, Taken
from collector.outbox import Outbox
from collector.settings import Settings
from tests import plain_http
from tests.pipeline.reports import append, lease, report

MIB = 1024 * 1024
REPORTS = st.lists(
    st.builds(
        Report,
        st.sampled_from(Signal),
        st.binary(max_size=300),
        st.integers(0, 2**63 - 1),
        st.text(max_size=20),
    )
)


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    yield outbox
    outbox.close()


class InProcess(httpx.BaseTransport):
    """Requests to an ASGI application as if they came from `address`."""

    def __init__(self, api: FastAPI, address: str) -> None:
        self._transport = httpx.ASGITransport(api, client=(address, 50000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answer() -> httpx.Response:
            found = await self._transport.handle_async_request(request)
            return httpx.Response(
                found.status_code, headers=found.headers, content=await found.aread()
            )

        return asyncio.run(answer())


def client(outbox: Outbox, token: str = "", address: str = "127.0.0.1") -> httpx.Client:
    api = FastAPI()
    api.include_router(router(outbox, Settings(internal_token=token)))
    return httpx.Client(transport=InProcess(api, address), base_url="http://collector")


def groups(outbox: Outbox, collector_id: str = "", **options) -> HttpGroups:
    used = collector_id or outbox.collector_id
    token = options.pop("given", "")
    return HttpGroups(client(outbox, **options), "http://collector/", used, token)


@given(REPORTS)
def test_a_group_arrives_as_it_left(reports):
    assert decode_reports(encode_reports(reports)) == reports


@given(st.binary(max_size=100), REPORTS)
def test_what_is_no_group_is_malformed(noise, reports):
    data = encode_reports(reports) + noise
    try:
        found = decode_reports(data)
    except Malformed:
        return
    assert found[: len(reports)] == reports


def test_a_group_is_fetched_and_done(outbox):
    sent = [report(b"one"), report(b"\x00\xff" * 1000, "é")]
    append(outbox, *sent)
    group = outbox.freeze_group(MIB)
    remote = groups(outbox)
    assert remote.fetch(group) == Taken(sent, 1)
    remote.done(group, [])
    assert outbox.stats().pending_requests == 0
    assert remote.fetch(group) is None
    assert remote.fetch(group + 1) is None


def test_a_failure_counts_and_keeps_its_reason_and_waiting_does_not_count(outbox):
    append(outbox, report(b"one"))
    group = outbox.freeze_group(MIB)
    remote = groups(outbox)
    remote.fetch(group)
    remote.put_back(group, taken=True)
    remote.fetch(group)
    remote.failed(group, "ValueError at x.py:1")
    row = outbox._file.connection.execute("SELECT attempts, failure FROM groups").fetchone()
    assert row == (1, "ValueError at x.py:1")
    assert lease(outbox) == []


def test_another_collectors_group_is_not_given_out(outbox):
    append(outbox, report(b"one"))
    group = outbox.freeze_group(MIB)
    with pytest.raises(Unready, match="answered 421"):
        groups(outbox, collector_id="another").fetch(group)
    with pytest.raises(Unready, match="answered 421"):
        groups(outbox, collector_id="another").done(group, [])
    assert outbox.stats().pending_groups == 1


@pytest.mark.parametrize(
    ("token", "given", "address", "admitted"),
    [
        ("", "", "127.0.0.1", True),
        ("", "", "::1", True),
        ("", "", "10.0.0.7", False),
        ("", "", "", False),
        ("secret", "secret", "10.0.0.7", True),
        ("secret", "", "127.0.0.1", False),
        ("secret", "wrong", "127.0.0.1", False),
    ],
)
def test_only_workers_are_admitted(outbox, token, given, address, admitted):
    remote = groups(outbox, token=token, given=given, address=address)
    if admitted:
        assert remote.fetch(1) is None
    else:
        with pytest.raises(Unready, match="answered 403"):
            remote.fetch(1)


def test_whoever_comes_through_a_local_proxy_is_not_local(outbox):
    params = {"collector_id": outbox.collector_id}
    headers = {"x-forwarded-for": "10.0.0.7"}
    answer = client(outbox).get("/internal/groups/1", params=params, headers=headers)
    assert answer.status_code == 403


def test_a_collector_that_is_away_is_unready():
    with plain_http.Client() as http, pytest.raises(Unready, match="no answer from"):
        HttpGroups(http, "http://127.0.0.1:1", "id", "").fetch(1)
