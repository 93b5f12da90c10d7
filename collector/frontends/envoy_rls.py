"""Envoy's global rate limit service, v3: ShouldRateLimit, gRPC.

Each descriptor is a check of its own; the request is over its limit when any of them is denied.
The domain is `ratelimit.domain`, the entries are `ratelimit.descriptor`, in their order
`ratelimit.keys` and `ratelimit.values`, and an entry whose key is the name of a string attribute
sets that attribute too. What no rule speaks of is OK.
Source: envoy/service/ratelimit/v3/rls.proto
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from itertools import chain
from typing import Any

from google.protobuf.message import DecodeError

from collector.errors import Malformed, TooLarge, Unready
from collector.frontends.decisions import (
    LEASE,
    LEASES,
    US,
    decision_headers,
)
from collector.frontends.descriptors import descriptor_bag
from collector.proto import envoy_pb2 as pb
from collector.services import Services
from collector.settings import Settings
from collector.transport.grpc import Metadata, Reply, UnaryMethod
from policy.attributes import AttributeBag
from policy.results import Decision, HeaderOperation

PATH = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
PROTOCOL = "rls"

MAX_REQUEST_BYTES = 64 * 1024
MAX_DESCRIPTORS = 128  # of one request: each is a check, and others wait meanwhile

OK, OVER_LIMIT = pb.RateLimitResponse.OK, pb.RateLimitResponse.OVER_LIMIT
Unit = pb.RateLimitResponse.RateLimit
UNITS = {
    US: Unit.SECOND,
    60 * US: Unit.MINUTE,
    3600 * US: Unit.HOUR,
    86_400 * US: Unit.DAY,
    7 * 86_400 * US: Unit.WEEK,
    30 * 86_400 * US: Unit.MONTH,
    365 * 86_400 * US: Unit.YEAR,
}
UINT32_MAX = 2**32 - 1

Descriptor = pb.RateLimitDescriptor


class RateLimit:
    def __init__(self, services: Services, deadline_s: float) -> None:
        self._checker = services.checker
        self._deadline_s = deadline_s

    def should_rate_limit(self, metadata: Metadata, body: bytes) -> Reply | Awaitable[Reply]:
        try:
            request = pb.RateLimitRequest.FromString(body)
        except DecodeError as error:
            raise Malformed("not a RateLimitRequest") from error
        if len(request.descriptors) > MAX_DESCRIPTORS:
            count = len(request.descriptors)
            raise TooLarge(f"{count} descriptors; a request may hold {MAX_DESCRIPTORS}")
        decisions = [
            self._checker.check(
                bag_of(request.domain, descriptor, metadata),
                protocol=PROTOCOL,
                hits=hits_of(request, descriptor),
                deadline_s=self._deadline_s,
            )
            for descriptor in request.descriptors
        ]
        made = [decision for decision in decisions if isinstance(decision, Decision)]
        return reply(made) if len(made) == len(decisions) else self._reply_later(decisions)

    async def _reply_later(self, decisions: Sequence[Decision | Awaitable[Decision]]) -> Reply:
        """All are asked for before any is awaited, so they share one trip to the counters."""
        pending = [asked for asked in decisions if not isinstance(asked, Decision)]
        found = iter([await pending[0]] if len(pending) == 1 else await asyncio.gather(*pending))
        made = [one if isinstance(one, Decision) else next(found) for one in decisions]
        if not all(decision.allowed for decision in made):
            await self._release(made)
        return reply(made)

    async def _release(self, decisions: Sequence[Decision]) -> None:
        """One descriptor was refused: the request does not happen, and holds nothing."""
        with contextlib.suppress(Unready):  # it ends by itself
            for lease in leases_of(decisions):
                await self._checker.release(lease)


def bag_of(domain: str, descriptor: Descriptor, metadata: Metadata) -> AttributeBag:
    entries = [(entry.key, entry.value) for entry in descriptor.entries]
    return descriptor_bag(domain, entries, metadata)


def hits_of(request: pb.RateLimitRequest, descriptor: Descriptor) -> int:
    """A descriptor's own amount may be 0; of the request's, proto3 cannot tell 0 from unset."""
    if descriptor.HasField("hits_addend"):
        return descriptor.hits_addend.value
    return request.hits_addend or 1


def reply(decisions: Sequence[Decision]) -> Reply:
    response = pb.RateLimitResponse(overall_code=OK)
    for decision in decisions:
        response.statuses.append(status_of(decision))
        add_headers(response.request_headers_to_add, decision.request_headers)
    told = telling(decisions)
    if told is None:
        return Reply(response.SerializeToString())
    headers = decision_headers(told)
    if told.allowed and (leases := leases_of(decisions)):
        headers[LEASE] = LEASES.join(leases)
    told_to = response.request_headers_to_add if told.allowed else response.response_headers_to_add
    for key, value in headers.items():
        told_to.add(key=key, value=value)
    if not told.allowed:
        response.overall_code = OVER_LIMIT
    add_headers(response.response_headers_to_add, told.response_headers)
    return Reply(response.SerializeToString(), trailing_metadata=headers)


def leases_of(decisions: Sequence[Decision]) -> list[str]:
    return [decision.lease for decision in decisions if decision.lease]


def telling(decisions: Sequence[Decision]) -> Decision | None:
    """The first denial, else the first that a rule decided, else the first."""
    refused = (decision for decision in decisions if not decision.allowed)
    ruled = (decision for decision in decisions if decision.rule)
    return next(chain(refused, ruled, decisions), None)


def add_headers(headers: Any, operations: Sequence[HeaderOperation]) -> None:
    """This protocol can add headers, no more: what is to be removed stays."""
    for operation in operations:
        if operation.operation != "remove":
            headers.add(key=operation.name, value=operation.value)


def status_of(decision: Decision) -> pb.RateLimitResponse.DescriptorStatus:
    status = pb.RateLimitResponse.DescriptorStatus(code=OK if decision.allowed else OVER_LIMIT)
    if decision.limit >= 0:
        status.current_limit.requests_per_unit = min(decision.limit, UINT32_MAX)
        status.current_limit.unit = UNITS.get(decision.window_us, Unit.UNIT_UNKNOWN)
        status.current_limit.name = decision.rule
        status.limit_remaining = min(max(decision.remaining, 0), UINT32_MAX)
    if decision.reset_us >= 0:
        status.duration_until_reset.FromMicroseconds(decision.reset_us)
    return status


def grpc_methods(services: Services, settings: Settings) -> dict[str, UnaryMethod]:
    limiter = RateLimit(services, settings.rls_deadline_s)
    return {PATH: UnaryMethod(limiter.should_rate_limit, MAX_REQUEST_BYTES)}
