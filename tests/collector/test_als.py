"""Access log streams: what reaches the outbox, and what ends a stream."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest

from collector.frontends import als
from collector.frontends.als import LogStream
from collector.model import Report, Signal
from collector.settings import Settings
from collector.transport.grpc import RpcError, StatusCode
from tests.collector.keeping import Keeping
from tests.collector.messages import LogMessage, http_logs, identifier, tcp_logs
from tests.counters import Counters
from tests.transport.serving import serving
from tests.waiting import eventually

MIB = 1024 * 1024


def stored(keeping: Keeping, *messages: bytes) -> list[Report]:
    """What one stream of these messages puts into the outbox."""

    async def stream() -> Sequence[bytes]:
        handler = LogStream(keeping.services, "b-1.default")
        for message in messages:
            assert await handler.message(message) == ()
        return handler.end()

    assert asyncio.run(stream()) == (LogMessage().SerializeToString(),)
    return keeping.reports()


def refusal(keeping: Keeping, *messages: bytes) -> RpcError:
    with pytest.raises(RpcError) as refused:
        stored(keeping, *messages)
    return refused.value


def parsed(report: Report) -> LogMessage:
    return LogMessage.FromString(report.body)


def test_every_message_is_stored_with_the_identifier_of_the_first(keeping):
    reports = stored(keeping, http_logs("/1", sender=identifier()), http_logs("/2", "/3"))
    assert [parsed(report).identifier for report in reports] == [identifier()] * 2
    paths = [entry.request.path for r in reports for entry in parsed(r).http_logs.log_entry]
    assert paths == ["/1", "/2", "/3"]
    assert {(report.signal, report.identity) for report in reports} == {(Signal.ALS, "b-1.default")}


def test_tcp_entries_are_stored_as_well(keeping):
    (report,) = stored(keeping, tcp_logs(77, sender=identifier()))
    (entry,) = parsed(report).tcp_logs.log_entry
    assert entry.connection_properties.received_bytes == 77


def test_an_identifier_alone_counts_for_the_messages_after_it(keeping):
    only = LogMessage(identifier=identifier()).SerializeToString()
    (report,) = stored(keeping, only, http_logs("/1"))
    assert parsed(report).identifier == identifier()


def test_a_repeated_identifier_is_accepted(keeping):
    messages = [http_logs(path, sender=identifier()) for path in ("/1", "/2")]
    reports = stored(keeping, *messages)
    assert [parsed(report).identifier for report in reports] == [identifier()] * 2


def test_an_identifiers_extensions_and_large_metadata_are_not_stored(keeping):
    large = identifier()
    large.node.metadata["BIG"] = "x" * 50_000
    # Field 9 of Envoy's Node holds its extensions; the schema here does not know it.
    extensions = b"\x4a\x03\x0a\x01x" * 500
    large.node.MergeFromString(extensions)
    reports = stored(keeping, http_logs("/1", sender=large), http_logs("/2"))
    assert [parsed(report).identifier for report in reports] == [identifier()] * 2
    assert max(len(report.body) for report in reports) < 300


def test_unknown_fields_of_entries_are_kept(keeping):
    newer = b"\x12\x06\x0a\x04\xfa\x3e\x01x"  # http_logs.log_entry with a field 1007
    reports = stored(keeping, http_logs("/1", sender=identifier()), newer)
    assert reports[1].body.endswith(newer)


def test_a_message_that_cannot_be_read_is_counted_and_the_stream_goes_on(keeping):
    counters = Counters()
    messages = [http_logs("/1", sender=identifier()), b"\xff\xff", http_logs("/2")]
    assert len(stored(keeping, *messages)) == 2
    assert counters.moved("frontend_messages", protocol="als") == 3
    assert counters.moved("frontend_messages_dropped", protocol="als", reason="malformed") == 1
    assert counters.moved("frontend_items", protocol="als") == 2


def test_text_that_is_not_utf8_does_not_lose_the_message(keeping):
    bad = http_logs("/caf_").replace(b"/caf_", b"/caf\xe9")
    reports = stored(keeping, http_logs("/1", sender=identifier()), bad)
    assert reports[1].body.endswith(bad)


def test_a_stream_that_does_not_say_who_it_is_is_refused(keeping):
    counters = Counters()
    error = refusal(keeping, http_logs("/1"))
    assert error.code is StatusCode.FAILED_PRECONDITION
    assert error.message == "the first message of the stream has no identifier"
    assert counters.moved("frontend_messages_dropped", protocol="als", reason="unidentified") == 1


@pytest.mark.parametrize("other", [identifier("b-2.default"), identifier(log_name="outbound")])
def test_a_stream_that_becomes_another_is_refused(keeping, other):
    messages = [http_logs("/1", sender=identifier()), http_logs("/2", sender=other)]
    error = refusal(keeping, *messages)
    assert error.code is StatusCode.FAILED_PRECONDITION
    assert error.message == "the identifier changed within the stream"
    assert len(keeping.reports()) == 1


def test_while_the_outbox_is_full_a_stream_is_held_and_nothing_is_lost(tmp_path):
    keeping = Keeping(tmp_path / "small", max_bytes=2 * MIB)
    counters = Counters()
    paths = [f"/{number}/".ljust(300_000, "x") for number in range(20)]
    sent = [http_logs(paths[0], sender=identifier()), *map(http_logs, paths[1:])]
    methods = als.grpc_methods(keeping.services, Settings())
    with serving(methods) as server, grpc.insecure_channel(server.address) as channel:
        answer = channel.stream_unary(als.PATH).future(iter(sent), timeout=60)
        eventually(lambda: counters.moved("frontend_waits", protocol="als") >= 3)
        assert not answer.done()
        found: list[Report] = []
        eventually(lambda: found.extend(keeping.reports()) or answer.done())
        assert answer.result() == LogMessage().SerializeToString()
        found += keeping.reports()
    keeping.outbox.close()
    assert [parsed(report).http_logs.log_entry[0].request.path for report in found] == paths
    assert counters.moved("frontend_messages_dropped", protocol="als") == 0
