"""grpc.health.v1, as gRPC's load balancers and Kubernetes probes ask: one answer for all services.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from google.protobuf.message import DecodeError

from collector.errors import Malformed
from collector.proto import health_pb2 as pb
from collector.transport.handlers import GrpcMethods, StreamMethod, UnaryMethod
from collector.transport.metadata import Metadata
from collector.transport.status import RpcError, StatusCode

SERVICE = "/grpc.health.v1.Health"
LOOK_AGAIN_S = 0.5  # how late a watcher may learn of a change

Response = pb.HealthCheckResponse


class Health:
    def __init__(
        self, services: Iterable[str], ready: Callable[[], bool], closing: Callable[[], bool]
    ) -> None:
        self._services = {"", *services}
        self._ready = ready
        self._closing = closing

    def check(self, _metadata: Metadata, body: bytes) -> bytes:
        name = service_asked(body)
        if name not in self._services:
            raise RpcError(StatusCode.NOT_FOUND, f"unknown service {name[:128]!r}")
        return self._answer(name)

    def _answer(self, name: str) -> bytes:
        if name not in self._services:
            return Response(status=Response.SERVICE_UNKNOWN).SerializeToString()
        ready = self._ready() and not self._closing()
        status = Response.SERVING if ready else Response.NOT_SERVING
        return Response(status=status).SerializeToString()

    async def watch(self, name: str) -> AsyncIterator[bytes]:
        """The status now and whenever it changes; ends with the server."""
        told = b""
        while True:
            last = self._closing()
            answer = self._answer(name)
            if answer != told:
                told = answer
                yield answer
            if last:
                return
            await asyncio.sleep(LOOK_AGAIN_S)


class Watch:
    def __init__(self, health: Health) -> None:
        self._health = health

    def message(self, body: bytes) -> AsyncIterator[bytes]:
        return self._health.watch(service_asked(body))

    def end(self) -> tuple[bytes, ...]:
        return ()


def service_asked(body: bytes) -> str:
    try:
        return pb.HealthCheckRequest.FromString(body).service
    except DecodeError as error:
        raise Malformed("not a HealthCheckRequest") from error


def health_methods(
    methods: GrpcMethods, ready: Callable[[], bool], closing: Callable[[], bool]
) -> GrpcMethods:
    """`methods` are those whose services are answered for."""
    services = [path.rpartition("/")[0].lstrip("/") for path in methods]
    health = Health(services, ready, closing)
    return {
        f"{SERVICE}/Check": UnaryMethod(health.check),
        f"{SERVICE}/Watch": StreamMethod(lambda _metadata: Watch(health)),
    }
