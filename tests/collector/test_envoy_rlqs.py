"""The rate limit quota service as a gRPC client sees it, with real rules."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

import grpc
import pytest

from collector.frontends.envoy_rlqs import MAX_BUCKETS, PATH, grpc_methods
from collector.proto import envoy_rlqs_pb2 as pb
from collector.services import Services
from collector.settings import Settings
from policy.kinds import AnyRule, DenyRule, Mode, QuotaRule
from tests.collector.checking import services
from tests.counters import Counters
from tests.transport.serving import serving
from tests.waiting import eventually

ALLOW_ALL, DENY_ALL = pb.RateLimitStrategy.ALLOW_ALL, pb.RateLimitStrategy.DENY_ALL
FORTY = QuotaRule(
    name="forty", version=3, match='ratelimit.domain == "mesh"', limit=40, window=1,
    dimensions=('ratelimit.descriptor["user"]',),
)  # fmt: skip
NO_DELETES = DenyRule(name="no-deletes", version=2, match='request.method == "DELETE"')

Told = dict[str, pb.RateLimitStrategy]
Usage = pb.RateLimitQuotaUsageReports.BucketQuotaUsage


def usage(
    bucket: Mapping[str, str | bytes], allowed: int = 1, denied: int = 0, seconds: int = 0
) -> Usage:
    made = Usage(num_requests_allowed=allowed, num_requests_denied=denied)
    made.time_elapsed.seconds = seconds
    for key, value in bucket.items():
        made.bucket_id.bucket[key] = value if isinstance(value, bytes) else value.encode()
    return made


class Stream:
    """One sidecar."""

    def __init__(self, channel: grpc.Channel, node: str) -> None:
        self._sent: SimpleQueue[bytes | None] = SimpleQueue()
        call = channel.stream_stream(PATH, None, pb.RateLimitQuotaResponse.FromString)
        self._call = call(iter(self._sent.get, None), metadata=(("x-mesh-node", node),))

    def send(self, *usages: Usage, domain: str = "mesh") -> None:
        reports = pb.RateLimitQuotaUsageReports(domain=domain, bucket_quota_usages=usages)
        self.send_raw(reports.SerializeToString())

    def send_raw(self, body: bytes) -> None:
        self._sent.put(body)

    def actions(self) -> list[pb.RateLimitQuotaResponse.BucketAction]:
        """Of the next answer."""
        return list(next(self._call).bucket_action)

    def told(self) -> pb.RateLimitStrategy:
        """The last of the next answer."""
        return self.actions()[-1].quota_assignment_action.rate_limit_strategy

    def told_of(self, count: int) -> dict[bytes, pb.RateLimitQuotaResponse.BucketAction]:
        """The last of each of so many buckets, by the values of their ids, joined."""
        found: dict[bytes, pb.RateLimitQuotaResponse.BucketAction] = {}
        while len(found) < count:
            for action in self.actions():
                values = action.bucket_id.bucket
                found[b",".join(values[key] for key in sorted(values))] = action
        return found

    def first(self, bucket: Mapping[str, str]) -> pb.RateLimitStrategy:
        self.send(usage(bucket))
        return self.told()

    def failure(self) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as failed:
            list(self._call)
        return failed.value.code(), failed.value.details()

    def close(self) -> None:
        self._sent.put(None)


class Client:
    def __init__(self, channel: grpc.Channel, owned: ExitStack) -> None:
        self._channel = channel
        self._owned = owned

    def stream(self, node: str = "cart-1.shop") -> Stream:
        stream = Stream(self._channel, node)
        self._owned.callback(stream.close)
        return stream


@contextmanager
def client(*rules: AnyRule, made: Services | None = None) -> Iterator[Client]:
    methods = grpc_methods(made or services(*rules), Settings())
    with (
        serving(methods) as server,
        grpc.insecure_channel(server.address) as channel,
        ExitStack() as owned,
    ):
        yield Client(channel, owned)


def test_a_quota_becomes_a_token_bucket_of_whole_tokens_a_second():
    with client(FORTY) as rlqs:
        bucket = rlqs.stream().first({"user": "ada"}).token_bucket
    assert (bucket.tokens_per_fill.value, bucket.fill_interval.seconds) == (40, 1)
    assert 1 <= bucket.max_tokens <= 40


def test_a_new_bucket_is_told_to_begin_full():
    with client(FORTY) as rlqs:
        stream = rlqs.stream()
        stream.send(usage({"user": "ada"}))
        first, second = stream.actions()
    strategies = [action.quota_assignment_action.rate_limit_strategy for action in (first, second)]
    assert strategies[0].blanket_rule == DENY_ALL
    assert strategies[1].HasField("token_bucket")
    assert first.bucket_id == second.bucket_id == usage({"user": "ada"}).bucket_id


def test_every_assignment_outlives_several_reports():
    with client(FORTY, NO_DELETES) as rlqs:
        stream = rlqs.stream()
        stream.send(usage({"user": "ada"}), usage({"request.method": "DELETE"}))
        told = stream.told_of(2).values()
    lives = [action.quota_assignment_action.assignment_time_to_live.seconds for action in told]
    assert lives == [60, 60]


def test_a_limit_below_one_a_second_is_told_so_that_envoy_sees_it_change():
    slow = QuotaRule(name="slow", limit=10, window=60)
    with client(slow) as rlqs:
        bucket = rlqs.stream().first({"user": "ada"}).token_bucket
    assert (bucket.tokens_per_fill.value, bucket.fill_interval.seconds) == (1, 6)
    assert bucket.fill_interval.nanos == bucket.fill_interval.seconds
    assert bucket.max_tokens == 7


def test_the_tightest_of_several_limits_is_told():
    wide = QuotaRule(name="wide", limit=1000, window=1)
    several = QuotaRule(
        name="several", limits=({"limit": 30, "window": 1}, {"limit": 600, "window": 60})
    )
    with client(FORTY, wide, several) as rlqs:
        bucket = rlqs.stream().first({"user": "ada"}).token_bucket
    assert bucket.tokens_per_fill.value == 10


def test_what_a_request_costs_is_divided_out():
    costly = QuotaRule(name="costly", limit=40, window=1, cost="8")
    with client(costly) as rlqs:
        bucket = rlqs.stream().first({"user": "ada"}).token_bucket
    assert bucket.tokens_per_fill.value / bucket.fill_interval.seconds == 5
    assert bucket.max_tokens <= 5


def test_a_refusing_rule_denies_all():
    with client(FORTY, NO_DELETES) as rlqs:
        assert rlqs.stream().first({"request.method": "DELETE"}).blanket_rule == DENY_ALL


def test_what_no_rule_speaks_of_is_allowed():
    with client(FORTY) as rlqs:
        stream = rlqs.stream()
        stream.send(usage({"user": "ada"}), domain="other")
        told = stream.told()
    assert told.WhichOneof("strategy") == "blanket_rule"
    assert told.blanket_rule == ALLOW_ALL


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.DISABLED])
def test_rules_that_do_not_decide_assign_nothing(mode):
    rules = [QuotaRule(name="q", limit=1, window=1, mode=mode), DenyRule(name="d", mode=mode)]
    with client(*rules) as rlqs:
        assert rlqs.stream().first({"user": "ada"}).blanket_rule == ALLOW_ALL


def test_a_limit_of_requests_in_flight_is_left_to_those_who_ask():
    rule = QuotaRule(name="at-once", limit=3, window=60, algorithm="concurrency")
    with client(rule) as rlqs:
        assert rlqs.stream().first({"user": "ada"}).blanket_rule == ALLOW_ALL


def test_an_entry_named_like_an_attribute_sets_it_and_the_sidecar_is_the_destination():
    rule = DenyRule(
        name="closed",
        match='destination.service == "cart.shop" && source.service == "frontend.shop"',
    )
    with client(rule) as rlqs:
        assert rlqs.stream().first({"source.service": "frontend.shop"}).blanket_rule == DENY_ALL
        assert rlqs.stream().first({"source.service": "other.shop"}).blanket_rule == ALLOW_ALL
        other = rlqs.stream("pay-1.shop").first({"source.service": "frontend.shop"})
        assert other.blanket_rule == ALLOW_ALL


def test_each_combination_of_dimensions_has_its_own_limit():
    with client(FORTY) as rlqs:
        rates = {
            user: rlqs.stream().first({"user": user}).token_bucket.tokens_per_fill.value
            for user in ("ada", "bob")
        }
    assert rates == {"ada": 40, "bob": 40}


def test_a_second_sidecar_takes_half_and_the_first_is_told_unasked():
    with client(FORTY) as rlqs:
        one, two = rlqs.stream("cart-1.shop"), rlqs.stream("cart-2.shop")
        assert one.first({"user": "ada"}).token_bucket.tokens_per_fill.value == 40
        second = two.first({"user": "ada"}).token_bucket
        first = one.told().token_bucket
    rates = [told.tokens_per_fill.value / told.fill_interval.seconds for told in (first, second)]
    assert rates[0] == rates[1]
    assert 18 <= rates[0] <= 20


def test_two_sidecars_of_one_name_do_not_share_a_share():
    with client(FORTY) as rlqs:
        one, two = rlqs.stream(), rlqs.stream()
        one.first({"user": "ada"})
        second = two.first({"user": "ada"}).token_bucket
        first = one.told().token_bucket
    assert first.tokens_per_fill == second.tokens_per_fill
    assert first.tokens_per_fill.value / first.fill_interval.seconds <= 20


def test_a_report_without_news_is_not_answered_each_time():
    with client(FORTY) as rlqs:
        stream = rlqs.stream()
        stream.first({"user": "ada"})
        for _ in range(3):
            stream.send(usage({"user": "ada"}, allowed=10, seconds=5))
        stream.send(usage({"user": "bob"}))
        assert stream.told_of(1).keys() == {b"bob"}


def test_a_thousand_buckets_in_one_message_are_all_told():
    with client(FORTY) as rlqs:
        stream = rlqs.stream()
        stream.send(*(usage({"user": f"u{number}"}) for number in range(1000)))
        told = stream.told_of(1000).values()
    assert all(
        action.quota_assignment_action.rate_limit_strategy.HasField("token_bucket")
        for action in told
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xff", "not a RateLimitQuotaUsageReports"),
        (b"", "domain: the first message names none"),
        (
            pb.RateLimitQuotaUsageReports(
                domain="mesh", bucket_quota_usages=[usage({"a": "b"}), usage({})]
            ).SerializeToString(),
            "bucket_quota_usages[1].bucket_id: has no entries",
        ),
    ],
)
def test_what_envoy_would_not_send_ends_the_stream_with_a_reason(body, reason):
    with client(FORTY) as rlqs:
        stream = rlqs.stream()
        stream.send_raw(body)
        assert stream.failure() == (grpc.StatusCode.INVALID_ARGUMENT, reason)


def test_a_domain_does_not_change_within_a_stream():
    with client(FORTY) as rlqs:
        stream = rlqs.stream()
        stream.first({"user": "ada"})
        stream.send(usage({"user": "ada"}), domain="")
        stream.send(usage({"user": "ada"}), domain="other")
        code, reason = stream.failure()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert reason == "domain: it was 'mesh' before, on the same stream"


def test_a_message_over_the_limit_is_too_large():
    methods = grpc_methods(services(FORTY), Settings(max_body_bytes=1000))
    with (
        serving(methods) as server,
        grpc.insecure_channel(server.address) as channel,
        ExitStack() as owned,
    ):
        stream = Client(channel, owned).stream()
        stream.send(usage({"user": "u" * 1000}))
        assert stream.failure()[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_without_rules_it_is_told_to_come_again():
    with client(made=services(loaded=False)) as rlqs:
        stream = rlqs.stream()
        stream.send(usage({"user": "ada"}))
        assert stream.failure()[0] is grpc.StatusCode.UNAVAILABLE


def test_an_id_that_is_too_large_gets_nothing_and_harms_no_other(caplog):
    with client(FORTY) as rlqs, caplog.at_level(logging.WARNING):
        stream = rlqs.stream()
        counters = Counters()
        stream.send(usage({"user": "x" * 5000}), usage({"user": "ada"}))
        told = {
            value: action.quota_assignment_action.rate_limit_strategy
            for value, action in stream.told_of(2).items()
        }
        moved = counters.moved("rlqs_buckets_refused", reason="too_large")
    assert told[b"x" * 5000].blanket_rule == DENY_ALL
    assert told[b"ada"].HasField("token_bucket")
    assert moved == 1
    assert "Buckets are refused" in caplog.text


def test_an_id_that_is_not_utf8_is_left_out_for_envoy_could_not_read_it():
    with client(FORTY) as rlqs:
        stream = rlqs.stream()
        counters = Counters()
        stream.send(usage({"user": b"\xff"}), usage({"user": "ada"}))
        names = stream.told_of(1).keys()
        moved = counters.moved("rlqs_buckets_refused", reason="not_utf8")
    assert names == {b"ada"}
    assert moved == 1


def test_buckets_beyond_a_streams_ten_thousand_are_counted_and_left_to_the_sidecar(caplog):
    names = [str(number) for number in range(MAX_BUCKETS + 2)]
    with client(FORTY) as rlqs, caplog.at_level(logging.WARNING):
        stream, other = rlqs.stream(), rlqs.stream("cart-2.shop")
        counters = Counters()
        stream.send(*(usage({"user": name}) for name in names), domain="no-rule")
        told = stream.told_of(MAX_BUCKETS).keys()
        assert other.first({"user": "ada"}).HasField("token_bucket")
        stream.send(usage({"user": names[0]}), usage({"user": names[-1]}), domain="no-rule")
        eventually(lambda: counters.moved("rlqs_buckets_refused", reason="too_many") == 3)
    assert told == {name.encode() for name in names[:MAX_BUCKETS]}
    refusals = [record for record in caplog.records if record.message == "Buckets are refused"]
    assert len(refusals) == 1


def test_buckets_beyond_those_of_a_collector_are_counted_until_others_are_gone():
    with client(made=services(FORTY, max_shared_buckets=2)) as rlqs:
        one, two = rlqs.stream("cart-1.shop"), rlqs.stream("cart-2.shop")
        counters = Counters()
        one.send(usage({"user": "ada"}), usage({"user": "bob"}))
        assert one.told_of(2).keys() == {b"ada", b"bob"}
        two.send(usage({"user": "eve"}), domain="mesh")
        eventually(lambda: counters.moved("rlqs_buckets_refused", reason="too_many_in_all") == 1)
        one.close()

        def has_room() -> bool:
            two.send(usage({"user": "eve"}))
            two.send(usage({"user": "zoe"}))
            return counters.moved("shared_quota_assignments", verb="count") >= 4

        eventually(has_room)
        assert two.told_of(2).keys() == {b"eve", b"zoe"}
