"""Envoy's external authorization over HTTP: any method, /authz and the original path after it.

200 lets the request pass; 403, 429 or the status of the rule, with a line of JSON, refuse it.
The check has only the headers Envoy's `allowed_headers` and `headers_to_add` let through:
x-mesh-node or x-mesh-destination names the destination, x-envoy-downstream-service-cluster the
source, x-forwarded-client-cert its principal.
Sources: envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto,
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers
"""

import re
from collections.abc import Awaitable
from urllib.parse import parse_qsl

from collector.frontends.decisions import (
    DOWNSTREAM_CLUSTER,
    decision_headers,
    denial_body,
    destination_service,
    namespace_of,
)
from collector.services import Services
from collector.settings import Settings
from collector.transport.http import JSON, RawAnswer, RawHandler, RawRequest
from policy.attributes import AttributeBag, Value
from policy.results import Decision

PREFIX = "/authz"
PROTOCOL = "ext_authz_http"
XFCC = "x-forwarded-client-cert"
XFCC_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^;,"]*)')


class HttpAuthorization:
    def __init__(self, services: Services, deadline_s: float) -> None:
        self._checker = services.checker
        self._deadline_s = deadline_s

    def check(self, request: RawRequest) -> RawAnswer | Awaitable[RawAnswer]:
        decision = self._checker.check(
            bag_of(request), protocol=PROTOCOL, deadline_s=self._deadline_s
        )
        return answer(decision) if isinstance(decision, Decision) else answer_later(decision)


def bag_of(request: RawRequest) -> AttributeBag:
    headers = dict(request.headers)
    url_path = request.path.removeprefix(PREFIX) or "/"
    query = request.query
    named = {
        "request.method": request.method,
        "request.url_path": url_path,
        "request.path": f"{url_path}?{query}" if query else url_path,
        "request.host": headers.get("host", ""),
        "request.id": headers.get("x-request-id", ""),
        "request.useragent": headers.get("user-agent", ""),
        "request.referer": headers.get("referer", ""),
        "source.service": headers.get(DOWNSTREAM_CLUSTER, ""),
        "source.principal": client_principal(headers[XFCC]) if XFCC in headers else "",
        "destination.service": destination_service(headers),
    }
    named["source.namespace"] = namespace_of(named["source.service"], named["source.principal"])
    named["destination.namespace"] = namespace_of(named["destination.service"])
    values: dict[str, Value] = {name: value for name, value in named.items() if value}
    values["request.headers"] = headers
    values["connection.mtls"] = "source.principal" in values
    values["context.protocol"] = "http"
    if query:
        values["request.query_params"] = dict(parse_qsl(query))
    return AttributeBag(values)


def client_principal(xfcc: str) -> str:
    """The URI of the last certificate: elements are appended, the last is Envoy's own peer."""
    uris = [value for key, value in XFCC_PAIR.findall(xfcc) if key.lower() == "uri"]
    return uris[-1].strip('"') if uris else ""


async def answer_later(decision: Awaitable[Decision]) -> RawAnswer:
    return answer(await decision)


def answer(decision: Decision) -> RawAnswer:
    """Which of an allow's headers go to the upstream and which to the client is for Envoy's
    matchers to say; that one is to be removed cannot be told over HTTP."""
    told = [
        (operation.name, operation.value)
        for operation in (*decision.request_headers, *decision.response_headers)
        if operation.operation != "remove"
    ]
    headers = [
        (name.encode(), value.encode())
        for name, value in (*decision_headers(decision).items(), *told)
    ]
    if decision.allowed:
        return RawAnswer(200, headers)
    return RawAnswer(decision.http_status, [JSON, *headers], denial_body(decision).encode())


def http_routes(services: Services, settings: Settings) -> dict[str, RawHandler]:
    return {f"{PREFIX}/*": HttpAuthorization(services, settings.check_deadline_s).check}
