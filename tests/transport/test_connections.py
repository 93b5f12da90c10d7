"""Whose connections are counted, and how many an address may have."""

import pytest

from collector.errors import InvalidSetting
from collector.transport.asgi import Door
from collector.transport.connections import (
    ConnectionLimits,
    Peer,
    connection,
    open_descriptors,
)
from collector.transport.http import RawAnswer, RawRequest
from tests import plain_http
from tests.transport.serving import Serving, no_such_page

INFINITE = float("inf")


def test_trusted_networks_may_have_any_number():
    limits = ConnectionLimits.named(7, "127.0.0.0/8, ::1,10.1.0.0/16")
    assert limits.of("127.0.0.1") == limits.of("::1") == limits.of("10.1.2.3") == INFINITE
    assert limits.of("10.2.0.1") == limits.of("fe80::1%eth0") == 7
    assert limits.of("::ffff:10.1.2.3") == INFINITE


def test_none_is_any_number():
    assert ConnectionLimits.named(0, "").of("10.0.0.1") == INFINITE


def test_what_is_no_network_is_said():
    with pytest.raises(InvalidSetting, match="MESHMETER_CONNECTIONS_TRUSTED: 'proxy'"):
        ConnectionLimits.named(7, "proxy")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_kernel_and_the_server_name_a_peer_alike(host):
    """Else who sends a long body would pass for one who sends no more than a head."""
    there: list[set[Peer]] = []
    busy: list[set[Peer | None]] = []

    def answer(_request: RawRequest) -> RawAnswer:
        seen = [connection(fd, frozenset({port})) for fd in open_descriptors()]
        there.append({each.peer for each in seen if each})
        busy.append(set(door.busy))
        return RawAnswer(200)

    door = Door({}, {"/*": answer}, {}, no_such_page)
    served = Serving(door, "[::]:0")
    port = int(served.address.rpartition(":")[2])
    try:
        plain_http.get(f"http://{host}:{port}/").raise_for_status()
    finally:
        served.stop()
    assert there == busy
    assert len(there[0]) == 1
    assert not door.busy
