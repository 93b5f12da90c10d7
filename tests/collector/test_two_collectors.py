"""Two collectors over one rule database and one Valkey: the same rules, one count."""

import grpc

from collector.frontends.envoy_ext_authz import PATH
from collector.proto import envoy_pb2 as pb
from collector.settings import Settings
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.waiting import eventually

LIMIT = 10
QUOTA = {
    "name": "mobile-hourly",
    "kind": "quota",
    "match": 'source.service == "mobile.shop" && destination.service == "frontend.shop"',
    "algorithm": "fixed-window",
    "limit": LIMIT,
    "window": 3600,
}


def ask(collector: LiveCollector) -> tuple[pb.CheckResponse, dict[str, str]]:
    request = pb.CheckRequest()
    request.attributes.source.service = "mobile.shop"
    request.attributes.context_extensions["destination.service"] = "frontend.shop"
    request.attributes.request.http.path = "/"
    answer, call = collector.channel.unary_unary(PATH).with_call(request.SerializeToString())
    trailers = {str(key): str(value) for key, value in call.trailing_metadata()}
    return pb.CheckResponse.FromString(answer), trailers


def in_force(collector: LiveCollector) -> int:
    return int(plain_http.get(f"{collector.url}/api/v1/snapshot").json()["version"])


def test_a_change_made_at_one_is_in_force_and_counted_at_both(pair):
    one, two = pair
    before = in_force(two)
    made = plain_http.post(f"{one.url}/api/v1/rules", json=QUOTA)
    assert made.status_code == 201, made.text
    eventually(lambda: in_force(two) > before)

    answers = [ask(collector) for _ in range(LIMIT) for collector in pair]
    denied = [(answer, trailers) for answer, trailers in answers if answer.status.code]
    assert len(denied) == LIMIT
    for answer, trailers in denied:
        headers = {
            option.header.key: option.header.value for option in answer.denied_response.headers
        }
        assert answer.denied_response.status.code == 429
        assert headers["x-meshmeter-rule"] == trailers["x-meshmeter-rule"] == "mobile-hourly@1"
        assert headers["x-meshmeter-decision"] == trailers["x-meshmeter-decision"]
        assert int(headers["retry-after"]) > 0

    assert plain_http.post(f"{two.url}/api/v1/rules/mobile-hourly/disable").is_success
    eventually(lambda: ask(one)[0].status.code == grpc.StatusCode.OK.value[0])


def test_by_default_a_collector_looks_for_changes_well_within_two_seconds():
    assert Settings().rules_poll_s <= 1
