"""Envoy's rate limit quotas (RLQS): the sidecar counts by itself, with what it is told it may.

Envoy lets a request pass uncounted when a header that its bucket is made of is absent. So every
combination of headers that are there is a bucket of its own kind, without those that are not; a
value that is long, or not plain text, counts as absent.
"""

from base64 import b64encode

from collector.sidecar.envoy_report import identity
from collector.sidecar.envoy_types import DOMAIN, SOURCE_HEADER, Config, typed
from collector.sidecar.sidecar import FailureMode, Sidecar

QUOTA = "envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaFilterConfig"
BUCKET = "envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaBucketSettings"
HEADER = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
PLAIN = "[ -~]{1,256}"
DENIED = b64encode(b"quota exceeded\n").decode()
FALLBACK_S = 600  # after an assignment has expired; then as before the first one
Entry = tuple[str, str]  # key, header


def rate_limit_quota(sidecar: Sidecar) -> Config:
    headers = (("source.service", SOURCE_HEADER), *sidecar.descriptors)
    fields: Config = {
        "domain": DOMAIN,
        "rlqs_server": {
            "envoy_grpc": {"cluster_name": "collector"},
            "initial_metadata": identity(sidecar),
        },
        "bucket_matchers": buckets(sidecar, headers, ()),
    }
    return typed(QUOTA, fields)


def buckets(sidecar: Sidecar, undecided: tuple[Entry, ...], there: tuple[Entry, ...]) -> Config:
    """The bucket of a request, by which of the undecided headers it has."""
    if not undecided:
        action = {"name": "bucket", "typed_config": bucket(sidecar, there)}
        return {"on_no_match": {"action": action}}
    first, *others = undecided
    present = {
        "single_predicate": {
            "input": header_input(first[1]),
            "value_match": {"safe_regex": {"google_re2": {}, "regex": PLAIN}},
        }
    }
    with_it = {"matcher": buckets(sidecar, tuple(others), (*there, first))}
    without = {"matcher": buckets(sidecar, tuple(others), there)}
    return {
        "matcher_list": {"matchers": [{"predicate": present, "on_match": with_it}]},
        "on_no_match": without,
    }


def bucket(sidecar: Sidecar, headers: tuple[Entry, ...]) -> Config:
    """What its failure mode says holds before the first assignment, and when one has expired."""
    rule = "ALLOW_ALL" if sidecar.failure_mode is FailureMode.OPEN else "DENY_ALL"
    fields: Config = {
        "bucket_id_builder": {
            "bucket_id_builder": {
                "destination.service": {"string_value": sidecar.service},
                "request.method": {"custom_value": header_input(":method")},
                **{key: {"custom_value": header_input(header)} for key, header in headers},
            }
        },
        "reporting_interval": "5s",
        "no_assignment_behavior": {"fallback_rate_limit": {"blanket_rule": rule}},
        "expired_assignment_behavior": {
            "expired_assignment_behavior_timeout": f"{FALLBACK_S}s",
            "fallback_rate_limit": {"blanket_rule": rule},
        },
        "deny_response_settings": {
            "http_status": {"code": "TooManyRequests"},
            "http_body": {"value": DENIED},
        },
    }
    return typed(BUCKET, fields)


def header_input(header: str) -> Config:
    return {"name": header, "typed_config": typed(HEADER, {"header_name": header})}
