"""grpc.health.v1 as a probe and a load balancer ask it."""

from collections.abc import Iterator

import grpc
import pytest

from collector.proto import health_pb2 as pb
from collector.transport.asgi import Door
from tests.transport.echo import METHODS
from tests.transport.serving import Serving, no_such_page, serving
from tests.waiting import eventually

Response = pb.HealthCheckResponse


def asked(channel: grpc.Channel, service: str) -> int:
    call = channel.unary_unary("/grpc.health.v1.Health/Check")
    request = pb.HealthCheckRequest(service=service).SerializeToString()
    return Response.FromString(call(request)).status


def watched(channel: grpc.Channel, service: str) -> Iterator[int]:
    call = channel.unary_stream("/grpc.health.v1.Health/Watch")
    for answer in call(pb.HealthCheckRequest(service=service).SerializeToString()):
        yield Response.FromString(answer).status


@pytest.mark.parametrize("service", ["", "t.Echo"])
def test_a_ready_server_serves_each_of_its_services(service):
    with serving(METHODS) as server, grpc.insecure_channel(server.address) as channel:
        assert asked(channel, service) == Response.SERVING


def test_an_unknown_service_is_not_found():
    with serving(METHODS) as server, grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            asked(channel, "t.Nope")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert next(watched(channel, "t.Nope")) == Response.SERVICE_UNKNOWN


def test_a_watcher_learns_of_each_change():
    fault = ["no snapshot"]
    door = Door(METHODS, {}, {"rules": lambda: fault[0]}, no_such_page)
    server = Serving(door, "127.0.0.1:0")
    with grpc.insecure_channel(server.address) as channel:
        statuses = watched(channel, "t.Echo")
        assert next(statuses) == Response.NOT_SERVING
        fault[0] = ""
        assert next(statuses) == Response.SERVING
        server.begin_stop()
        assert list(statuses) == [Response.NOT_SERVING]
    server.stop()


def test_a_stopping_server_serves_no_more():
    with serving(METHODS, notice_s=1.0) as server, grpc.insecure_channel(server.address) as channel:
        server.begin_stop()
        eventually(lambda: asked(channel, "") == Response.NOT_SERVING)
