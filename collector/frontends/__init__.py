"""The protocols we speak: each module makes methods or routes of services and settings, or listens
on a socket of its own."""

from collector.frontends import (
    als,
    envoy_ext_authz,
    envoy_ext_authz_http,
    envoy_rlqs,
    envoy_rls,
    otlp,
    scribe,
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
    zipkin,
)
SOCKETS = (scribe,)
