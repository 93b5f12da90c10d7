"""Whose connections are counted, and how many an address may have."""

import pytest

from collector.errors import InvalidSetting
from collector.transport.connections import ConnectionLimits

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
