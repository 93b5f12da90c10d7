"""The protocols we speak: each module makes methods or routes of services and settings, or listens
on a socket of its own."""

from collector.frontends import (
    als,
    envoy_ext_authz,
    envoy_ext_authz_http,
    envoy_rlqs,
    envoy_rls,
    otlp,
    remote_write,
    scribe,
    statsd,
    zipkin,
)

GRPC = (
    als,
    envoy_ext_authz,
    envoy_rlqs,
    envoy_rls,
    otlp,
)
HTTP = (
    envoy_ext_authz_http,
    otlp,
    remote_write,
    zipkin,
)
SOCKETS = (scribe, statsd)
