"""The rate limit service as a gRPC client sees it, with real rules."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from collector.frontends.envoy_rls import PATH, bag_of, grpc_methods
from collector.proto import envoy_pb2 as pb
from collector.settings import Settings
from policy.expression import compile_match
from policy.kinds import AnyRule, DenyRule, QuotaRule
from tests.collector.checking import services
from tests.transport.serving import serving

OK, OVER_LIMIT = pb.RateLimitResponse.OK, pb.RateLimitResponse.OVER_LIMIT
TWO_A_MINUTE = QuotaRule(
    name="two-a-minute",
    version=3,
    match='ratelimit.domain == "mesh"',
    limit=2,
    window=60.0,
    algorithm="fixed-window",
    dimensions=('ratelimit.descriptor["user"]',),
)


class Client:
    def __init__(self, channel: grpc.Channel) -> None:
        self._call = channel.unary_unary(
            PATH, pb.RateLimitRequest.SerializeToString, pb.RateLimitResponse.FromString
        )
        self.raw = channel.unary_unary(PATH)
        self.trailers: dict[str, str] = {}

    def ask(self, *descriptors: dict[str, str], hits: int = 0, domain: str = "mesh", **own: int):
        request = pb.RateLimitRequest(domain=domain, hits_addend=hits)
        for entries in descriptors:
            descriptor = request.descriptors.add()
            for key, value in entries.items():
                descriptor.entries.add(key=key, value=value)
            if "own_hits" in own:
                descriptor.hits_addend.value = own["own_hits"]
        node = (("x-mesh-node", "cart-1.shop"),)
        answer, call = self._call.with_call(request, metadata=node)
        self.trailers = dict(call.trailing_metadata())
        return answer


@contextmanager
def client(*rules: AnyRule) -> Iterator[Client]:
    methods = grpc_methods(services(*rules), Settings())
    with serving(methods) as server, grpc.insecure_channel(server.address) as channel:
        yield Client(channel)


def test_what_no_rule_speaks_of_is_ok():
    with client() as rls:
        answer = rls.ask({"user": "ada"})
    assert answer.overall_code == OK
    assert [status.code for status in answer.statuses] == [OK]
    assert not answer.statuses[0].HasField("current_limit")


def test_the_answer_says_limit_remaining_and_reset():
    with client(TWO_A_MINUTE) as rls:
        status = rls.ask({"user": "ada"}).statuses[0]
    assert (status.current_limit.requests_per_unit, status.limit_remaining) == (2, 1)
    assert status.current_limit.unit == pb.RateLimitResponse.RateLimit.MINUTE
    assert status.current_limit.name == "two-a-minute"
    assert 0 < status.duration_until_reset.ToMilliseconds() <= 60_000


def test_over_the_limit_names_the_rule_in_headers_and_trailers():
    with client(TWO_A_MINUTE) as rls:
        answers = [rls.ask({"user": "ada"}) for _ in range(3)]
        trailers = rls.trailers
    headers = {entry.key: entry.value for entry in answers[2].response_headers_to_add}
    assert [answer.overall_code for answer in answers] == [OK, OK, OVER_LIMIT]
    assert headers["x-meshmeter-rule"] == "two-a-minute@3"
    assert 1 <= int(headers["retry-after"]) <= 60
    assert headers["x-meshmeter-decision"]
    assert headers.items() <= trailers.items()


def test_an_allowed_answer_names_no_rule():
    with client(TWO_A_MINUTE) as rls:
        assert list(rls.ask({"user": "ada"}).response_headers_to_add) == []


def test_each_descriptor_is_a_check_of_its_own():
    with client(TWO_A_MINUTE) as rls:
        rls.ask({"user": "ada"}, hits=2)
        answer = rls.ask({"user": "bob"}, {"user": "ada"}, {"user": "cyn"})
    assert [status.code for status in answer.statuses] == [OK, OVER_LIMIT, OK]
    assert answer.overall_code == OVER_LIMIT


@pytest.mark.parametrize(
    ("hits", "own", "remaining"),
    [(0, {}, 1), (2, {}, 0), (1, {"own_hits": 2}, 0), (1, {"own_hits": 0}, 2)],
)
def test_hits_are_one_unless_said(hits, own, remaining):
    with client(TWO_A_MINUTE) as rls:
        assert rls.ask({"user": "ada"}, hits=hits, **own).statuses[0].limit_remaining == remaining


def test_an_entry_named_like_an_attribute_sets_it():
    rule = DenyRule(name="no-writes", match='request.method == "POST"')
    with client(rule) as rls:
        assert rls.ask({"request.method": "POST"}).overall_code == OVER_LIMIT
        assert rls.ask({"request.method": "GET"}).overall_code == OK


def test_an_entry_named_like_an_attribute_of_another_type_stays_an_entry():
    rule = DenyRule(name="big", match='ratelimit.descriptor["request.size"] == "9"')
    with client(rule) as rls:
        assert rls.ask({"request.size": "9"}).overall_code == OVER_LIMIT


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["user"], "user"),
        (["generic_key", "generic_key"], "generic_key,generic_key"),
        (["a,b", "c"], "a\\\\,b,c"),
        (["a\\", "b"], "a\\\\\\\\,b"),
        ([], ""),
    ],
)
def test_a_rule_can_be_for_exactly_these_entries_in_this_order(keys, told):
    descriptor = pb.RateLimitDescriptor()
    for key in keys:
        descriptor.entries.add(key=key, value="v")
    exactly = compile_match(f'ratelimit.keys == "{told}"')
    assert exactly.test(bag_of("mesh", descriptor, {}).values)
    descriptor.entries.add(key="more", value="v")
    assert not exactly.test(bag_of("mesh", descriptor, {}).values)


def test_the_values_of_a_key_that_comes_twice_are_told_by_their_number():
    descriptor = pb.RateLimitDescriptor()
    for value in ("a", "b"):
        descriptor.entries.add(key="generic_key", value=value)
    values = bag_of("mesh", descriptor, {}).values
    assert values["ratelimit.values"] == {"1": "a", "2": "b"}
    assert values["ratelimit.descriptor"] == {"generic_key": "b"}


def test_the_destination_is_the_sidecar_that_asks_unless_an_entry_says():
    rule = DenyRule(name="closed", match='destination.service == "cart.shop"')
    with client(rule) as rls:
        assert rls.ask({"user": "ada"}).overall_code == OVER_LIMIT
        assert rls.ask({"destination.service": "pay.shop"}).overall_code == OK


def test_domains_are_told_apart():
    with client(TWO_A_MINUTE) as rls:
        assert rls.ask({"user": "ada"}, domain="other", hits=9).overall_code == OK


def test_no_descriptor_is_ok():
    with client(TWO_A_MINUTE) as rls:
        assert rls.ask().overall_code == OK


def test_bytes_that_are_no_request_are_invalid():
    with client() as rls, pytest.raises(grpc.RpcError) as refused:
        rls.raw(b"\xff\xff")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_places_in_flight_of_all_descriptors_are_told_to_be_released_together():
    busy = QuotaRule(
        name="busy", limit=1, window=600.0, algorithm="concurrency",
        dimensions=('ratelimit.descriptor["user"]',),
    )  # fmt: skip
    with client(busy) as rls:
        answer = rls.ask({"user": "ada"}, {"user": "bob"})
        told = {header.key: header.value for header in answer.request_headers_to_add}
        assert len(told["x-meshmeter-lease"].split(",")) == 2
        # Ada is in flight: what is refused with hers holds nothing of Eve's.
        assert rls.ask({"user": "eve"}, {"user": "ada"}).overall_code == OVER_LIMIT
        assert rls.ask({"user": "eve"}).overall_code == OK


def test_the_namespace_is_that_of_the_destination():
    with client(DenyRule(name="closed", match='destination.namespace == "shop"')) as rls:
        assert rls.ask({"user": "ada"}).overall_code == OVER_LIMIT
        assert rls.ask({"destination.service": "cart.bank"}).overall_code == OK
