"""Envoy's rate limit quota service, v3: StreamRateLimitQuotas, one stream of each sidecar.

Envoy reports, for buckets of requests that are alike, what it allowed and denied, every five
seconds and when a bucket is first used. It is told for each bucket whether all pass, none, or as
many as a token bucket of its own lets through. A bucket's id is read as RLS reads a descriptor.

What Envoy 1.40 makes of an answer decides its form. Of a changed fill interval it compares only the
nanoseconds, which it ignores otherwise: so the seconds are told in both. Two equal buckets are one,
and a changed one stays as full as it was: a bucket that is to begin full comes after DENY_ALL.
Sources: envoy/service/rate_limit_quota/v3/rlqs.proto, docs/protocols/rlqs.md
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable

from google.protobuf.message import DecodeError
from prometheus_client import Counter

from collector.errors import Overloaded
from collector.frontends.descriptors import descriptor_bag
from collector.proto import envoy_rlqs_pb2 as pb
from collector.services import Assignment, Member, Services, Usage, Verb
from collector.settings import Settings
from collector.transport.grpc import DuplexMethod, Metadata, RpcError, StatusCode
from policy.attributes import AttributeBag

log = logging.getLogger(__name__)

PATH = "/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas"
REFUSED = Counter(
    "meshmeter_rlqs_buckets_refused",
    "buckets that no rule was asked about: too_many, too_many_in_all, too_large, not_utf8",
    ["reason"],
)
TTL_S = 60
MAX_BUCKETS = 10_000  # of one stream
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_ID_BYTES = 4096
AT_ONCE = 64  # buckets of a message, before others have their turn
MAX_ACTIONS = 500  # in one message
ALMOST_NEVER_S = 31_536_000  # Envoy fills no slower than once a year

Id = tuple[tuple[str, bytes], ...]
Usages = pb.RateLimitQuotaUsageReports
Response = pb.RateLimitQuotaResponse
DENY_ALL, ALLOW_ALL = pb.RateLimitStrategy.DENY_ALL, pb.RateLimitStrategy.ALLOW_ALL


class QuotaStream:
    """One stream of one sidecar."""

    def __init__(self, services: Services, metadata: Metadata) -> None:
        self._sharing = services.sharing
        self._metadata = metadata
        self._domain = ""
        self._member: Member | None = None
        self._known: dict[Hashable, AttributeBag] = {}
        self._objections: set[str] = set()
        self._untold: dict[Hashable, Assignment] = {}
        self._news = asyncio.Event()

    async def message(self, body: bytes) -> None:
        """Raises RpcError for what Envoy would not send."""
        try:
            reports = Usages.FromString(body)
        except DecodeError as error:
            raise refused("not a RateLimitQuotaUsageReports") from error
        member = self._joined(reports.domain)
        for place, usage in enumerate(reports.bucket_quota_usages):
            if place % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            name = id_of(usage.bucket_id)
            if not name:
                raise refused(f"bucket_quota_usages[{place}].bucket_id: has no entries")
            self._report(member, name, usage)

    def _joined(self, domain: str) -> Member:
        if self._member is None:
            if not domain:
                raise refused("domain: the first message names none")
            self._domain = domain
            name = f"{self._metadata.identity}\n{domain}"
            self._member = self._sharing.join(name, self._tell)
        elif domain not in ("", self._domain):
            raise refused(f"domain: it was {self._domain[:64]!r} before, on the same stream")
        return self._member

    def _report(self, member: Member, name: Id, usage: Usages.BucketQuotaUsage) -> None:
        bag = self._known.get(name)
        if bag is None:
            reason = self._objection(name)
            if reason:
                self._refuse(name, reason)
                return
            entries = [(key, value.decode()) for key, value in name]
            bag = self._known[name] = descriptor_bag(self._domain, entries, self._metadata)
        elapsed_s = usage.time_elapsed.seconds + usage.time_elapsed.nanos / 1e9
        counts = Usage(usage.num_requests_allowed, usage.num_requests_denied, max(elapsed_s, 0.0))
        try:
            member.report(name, bag, counts)
        except Overloaded:
            del self._known[name]
            self._refuse(name, "too_many_in_all")

    def _objection(self, name: Id) -> str:
        if sum(len(key) + len(value) for key, value in name) > MAX_ID_BYTES:
            return "too_large"
        if not all(is_utf8(value) for _, value in name):
            return "not_utf8"
        return "too_many" if len(self._known) >= MAX_BUCKETS else ""

    def _refuse(self, name: Id, reason: str) -> None:
        """The others go on: one request's header must not undo the quotas of the rest.

        An id that is too large is some caller's doing, and gets nothing. Envoy cannot read one that
        is not UTF-8, though it sent it, and does with the rest as it is configured to.
        """
        REFUSED.labels(reason).inc()
        if reason not in self._objections:
            self._objections.add(reason)
            sidecar = self._metadata.identity[:256]
            log.warning("Buckets are refused", extra={"reason": reason, "sidecar": sidecar})
        readable = all(is_utf8(value) for _, value in name)
        if reason == "too_large" and readable and len(self._untold) < MAX_BUCKETS:
            self._tell(name, Assignment(Verb.DENY))

    def _tell(self, name: Hashable, assignment: Assignment) -> None:
        untold = self._untold.get(name)
        if untold and untold.renewed and assignment.verb is Verb.COUNT:
            assignment = assignment._replace(renewed=True)
        self._untold[name] = assignment
        if assignment.verb is Verb.FORGET:
            self._known.pop(name, None)
        self._news.set()

    async def pushes(self) -> AsyncIterator[bytes]:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._untold:
                response = Response()
                for name in list(self._untold)[:MAX_ACTIONS]:
                    add_actions(response, name, self._untold.pop(name))
                yield response.SerializeToString()

    def closed(self, *, peer_left: bool) -> None:
        if self._member:
            self._member.leave(lost=peer_left)


def refused(reason: str) -> RpcError:
    return RpcError(StatusCode.INVALID_ARGUMENT, reason)


def id_of(bucket_id: pb.BucketId) -> Id:
    return tuple(sorted(bucket_id.bucket.items()))


def is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def add_actions(response: Response, name: Hashable, assignment: Assignment) -> None:
    if assignment.verb is Verb.COUNT and assignment.renewed:
        add_actions(response, name, Assignment(Verb.DENY))
    action = response.bucket_action.add()
    assert isinstance(name, tuple)  # noqa: S101 (it is what this front-end named it)
    action.bucket_id.bucket.update(name)
    if assignment.verb is Verb.FORGET:
        action.abandon_action.SetInParent()
        return
    quota = action.quota_assignment_action
    quota.assignment_time_to_live.seconds = TTL_S
    if assignment.verb is not Verb.COUNT:
        rule = ALLOW_ALL if assignment.verb is Verb.ALLOW else DENY_ALL
        quota.rate_limit_strategy.blanket_rule = rule
        return
    seconds = assignment.seconds if assignment.tokens else ALMOST_NEVER_S
    bucket = quota.rate_limit_strategy.token_bucket
    bucket.max_tokens = assignment.size
    bucket.tokens_per_fill.value = assignment.tokens or 1
    bucket.fill_interval.seconds = bucket.fill_interval.nanos = seconds


def grpc_methods(services: Services, settings: Settings) -> dict[str, DuplexMethod]:
    def start(metadata: Metadata) -> QuotaStream:
        return QuotaStream(services, metadata)

    return {PATH: DuplexMethod(start, min(settings.max_body_bytes, MAX_MESSAGE_BYTES))}
