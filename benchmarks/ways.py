"""The ways a span, or an access log's entry, is reported: how it is written, and how it is sent.

Spans are those of `benchmarks.ingest.request`, whichever way they go; an entry of an access log
has what Envoy says of a request.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.ingest import request
from benchmarks.zipkin import as_json as as_zipkin
from benchmarks.zipkin import as_protobuf
from collector.frontends import als, otlp
from collector.frontends.zipkin import V2_PATH
from collector.proto import envoy_pb2 as pb
from collector.settings import Settings
from tests.collector.messages import LogMessage, http_entry, identifier
from tests.collector.otlp_messages import as_json

AT_ONCE = 4  # requests in flight

Write = Callable[[random.Random, int], bytes]  # so many items, a request
Send = Callable[[list[bytes], Settings], Awaitable[None]]  # returns when all are acknowledged


class Way(NamedTuple):
    """`table`: where its items are stored."""

    write: Write
    send: Send
    table: str = "spans"


def otlp_protobuf(dice: random.Random, spans: int) -> bytes:
    return request(dice, time.time_ns(), spans)


def otlp_json(dice: random.Random, spans: int) -> bytes:
    return as_json(ExportTraceServiceRequest.FromString(otlp_protobuf(dice, spans)))


def zipkin_json(dice: random.Random, spans: int) -> bytes:
    return json.dumps(as_zipkin(otlp_protobuf(dice, spans))).encode()


def zipkin_protobuf(dice: random.Random, spans: int) -> bytes:
    return as_protobuf(as_zipkin(otlp_protobuf(dice, spans)))


def access_log(dice: random.Random, entries: int) -> bytes:
    """A message after the first of a stream."""
    made = LogMessage()
    made.http_logs.log_entry.extend(access_log_entry(dice) for _ in range(entries))
    return made.SerializeToString()


def access_log_entry(dice: random.Random) -> pb.HTTPAccessLogEntry:
    entry = http_entry(f"/items/{dice.randrange(1000)}")
    entry.request.request_method = 1  # GET
    entry.request.authority = f"service-{dice.randrange(200)}"
    entry.request.request_id = str(dice.randrange(10**12))
    entry.request.user_agent = "curl/8"
    entry.request.request_headers["x-envoy-downstream-service-cluster"] = "web.shop"
    entry.common_properties.upstream_cluster = "inbound"
    entry.response.response_body_bytes = dice.randrange(10_000)
    return entry


def over_http(path: str, content_type: str) -> Send:
    async def send(bodies: list[bytes], settings: Settings) -> None:
        waiting = iter(bodies)
        async with httpx.AsyncClient(timeout=60) as client:

            async def sender() -> None:
                for body in waiting:
                    answer = await client.post(
                        settings.collector_url + path,
                        content=body,
                        headers={"content-type": content_type},
                    )
                    answer.raise_for_status()

            await asyncio.gather(*(sender() for _ in range(AT_ONCE)))

    return send


async def over_grpc(bodies: list[bytes], settings: Settings) -> None:
    waiting = iter(bodies)
    async with grpc.aio.insecure_channel(settings.grpc) as channel:

        async def sender() -> None:
            for body in waiting:
                await channel.unary_unary(otlp.PATH)(body)

        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))


async def over_streams(bodies: list[bytes], settings: Settings) -> None:
    """A stream's one answer comes when the last of its messages is on disk."""
    async with grpc.aio.insecure_channel(settings.grpc) as channel:

        async def messages(stream: int) -> AsyncIterator[bytes]:
            first, *others = bodies[stream::AT_ONCE]
            yield LogMessage(identifier=identifier()).SerializeToString() + first
            for body in others:
                yield body

        await asyncio.gather(
            *(channel.stream_unary(als.PATH)(messages(stream)) for stream in range(AT_ONCE))
        )


WAYS = {
    "OTLP, HTTP": Way(otlp_protobuf, over_http(otlp.URL_PATH, "application/x-protobuf")),
    "OTLP, gRPC": Way(otlp_protobuf, over_grpc),
    "OTLP, JSON": Way(otlp_json, over_http(otlp.URL_PATH, "application/json")),
    "Zipkin, JSON": Way(zipkin_json, over_http(V2_PATH, "application/json")),
    "Zipkin, protobuf": Way(zipkin_protobuf, over_http(V2_PATH, "application/x-protobuf")),
    "access log": Way(access_log, over_streams, "requests"),
}
