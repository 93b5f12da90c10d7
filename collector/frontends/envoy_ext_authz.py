"""Envoy's external authorization, v3: Check, gRPC.

The bag is read from the request as rules ask for it. The destination is what the route's
context_extensions say, else the sidecar that asks (its x-mesh-destination or x-mesh-node
metadata); the source is what Envoy says of its peer.
Sources: envoy/service/auth/v3/external_auth.proto, attribute_context.proto
"""

import ipaddress
from _collections_abc import dict_keys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.message import DecodeError
from google.rpc.code_pb2 import PERMISSION_DENIED, RESOURCE_EXHAUSTED

from collector.errors import Malformed
from collector.frontends.decisions import (
    attribute_from_text,
    decision_headers,
    denial_body,
    destination_service,
    namespace_of,
)
from collector.proto import envoy_pb2 as pb
from collector.services import Services
from collector.settings import Settings
from collector.transport.grpc import Metadata, Reply, UnaryMethod
from policy.attributes import AttributeBag, Value
from policy.results import Decision, HeaderOperation

PATH = "/envoy.service.auth.v3.Authorization/Check"
PROTOCOL = "ext_authz"
QUOTA_STATUS = 429

OVERWRITE = pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
APPEND = pb.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD

Context = pb.AttributeContext
Reader = Callable[[Context], Value]


def address_of(peer: pb.Peer) -> bytes:
    try:
        return ipaddress.ip_address(peer.address.socket_address.address).packed
    except ValueError:  # a pipe, or nothing
        return b""


def context_protocol(context: Context) -> str:
    kind = context.request.http.headers.get("content-type", "")
    return "grpc" if kind.startswith("application/grpc") else "http"


def request_time(context: Context) -> datetime | str:
    if not context.request.HasField("time"):
        return ""
    try:
        return context.request.time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):  # beyond every year
        return ""


# An empty answer is an absent attribute: proto3 cannot tell them apart.
READERS: Mapping[str, Reader] = {
    "source.service": lambda it: it.source.service,
    "source.principal": lambda it: it.source.principal,
    "source.ip": lambda it: address_of(it.source),
    "source.labels": lambda it: dict(it.source.labels),
    "destination.service": lambda it: it.destination.service,
    "destination.principal": lambda it: it.destination.principal,
    "destination.ip": lambda it: address_of(it.destination),
    "destination.port": lambda it: it.destination.address.socket_address.port_value or "",
    "destination.labels": lambda it: dict(it.destination.labels),
    "connection.mtls": lambda it: bool(it.source.principal),
    "context.protocol": context_protocol,
    "request.id": lambda it: it.request.http.headers.get("x-request-id", ""),
    "request.method": lambda it: it.request.http.method,
    "request.path": lambda it: it.request.http.path,
    "request.url_path": lambda it: it.request.http.path.partition("?")[0],
    "request.query_params": lambda it: dict(parse_qsl(it.request.http.path.partition("?")[2])),
    "request.host": lambda it: it.request.http.host,
    "request.scheme": lambda it: it.request.http.scheme,
    "request.headers": lambda it: it.request.http.headers,
    "request.useragent": lambda it: it.request.http.headers.get("user-agent", ""),
    "request.referer": lambda it: it.request.http.headers.get("referer", ""),
    "request.size": lambda it: max(it.request.http.size, 0),  # -1: not known
    "request.time": request_time,
}


# What each is read from.
NAMESPACES: Mapping[str, tuple[str, str]] = {
    "source.namespace": ("source.service", "source.principal"),
    "destination.namespace": ("destination.service", "destination.principal"),
}


class ContextValues(dict[str, Value]):
    """The attributes of one request, each read from the message when first asked for.

    A dict, so that what several rules ask for is found again without a call.
    """

    def __init__(self, context: Context, metadata: Metadata) -> None:
        self._context = context
        self._metadata = metadata

    def __missing__(self, name: str) -> Value:
        value = self._read(name)
        if value is None or (not value and not isinstance(value, int)):
            raise KeyError(name)
        self[name] = value
        return value

    def _read(self, name: str) -> Value | None:
        extensions = self._context.context_extensions
        if extensions and name in extensions:
            value = attribute_from_text(name, extensions[name])
            if value is not None:
                return value
        reader = READERS.get(name)
        value = reader(self._context) if reader else None
        if name == "destination.service" and not value:
            return destination_service(self._metadata)
        if name in NAMESPACES:
            service, principal = NAMESPACES[name]
            return namespace_of(self.get(service, ""), self.get(principal, ""))
        return value

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def keys(self) -> "dict_keys[str, Value]":
        for name in (*READERS, *NAMESPACES, *self._context.context_extensions):
            self.get(name)
        return super().keys()


class Authorization:
    def __init__(self, services: Services, deadline_s: float) -> None:
        self._checker = services.checker
        self._deadline_s = deadline_s

    def check(self, metadata: Metadata, body: bytes) -> bytes | Reply | Awaitable[Reply | bytes]:
        try:
            context = pb.CheckRequest.FromString(body).attributes
        except DecodeError as error:
            raise Malformed("not a CheckRequest") from error
        bag = AttributeBag(ContextValues(context, metadata))
        decision = self._checker.check(bag, protocol=PROTOCOL, deadline_s=self._deadline_s)
        return answer(decision) if isinstance(decision, Decision) else answer_later(decision)


async def answer_later(decision: Awaitable[Decision]) -> bytes | Reply:
    return answer(await decision)


def answer(decision: Decision) -> bytes | Reply:
    headers = decision_headers(decision)
    response = pb.CheckResponse()
    if decision.allowed:
        passes = response.ok_response
        add_headers(passes.headers, headers)
        for operation in decision.request_headers:
            if operation.operation == "remove":
                passes.headers_to_remove.append(operation.name)
            else:
                add_header(passes.headers, operation)
        for operation in decision.response_headers:
            add_header(passes.response_headers_to_add, operation)
        return response.SerializeToString()
    quota = decision.http_status == QUOTA_STATUS
    response.status.code = RESOURCE_EXHAUSTED if quota else PERMISSION_DENIED
    response.status.message = decision.reason
    denied = response.denied_response
    denied.status.code = decision.http_status
    denied.body = denial_body(decision)
    add_headers(denied.headers, {"content-type": "application/json", **headers})
    for operation in decision.response_headers:
        add_header(denied.headers, operation)
    return Reply(response.SerializeToString(), trailing_metadata=headers)


def add_headers(options: Any, headers: Mapping[str, str]) -> None:
    for key, value in headers.items():
        options.add(append_action=OVERWRITE, header=pb.HeaderValue(key=key, value=value))


def add_header(options: Any, operation: HeaderOperation) -> None:
    action = APPEND if operation.operation == "append" else OVERWRITE
    options.add(
        append_action=action, header=pb.HeaderValue(key=operation.name, value=operation.value)
    )


def grpc_methods(services: Services, settings: Settings) -> dict[str, UnaryMethod]:
    return {PATH: UnaryMethod(Authorization(services, settings.check_deadline_s).check)}
