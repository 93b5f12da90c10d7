"""The protocols we speak: each module makes methods or routes of services and settings."""

from collector.frontends import als, envoy_ext_authz, envoy_ext_authz_http, envoy_rls, otlp

GRPC = (
    als,
    envoy_ext_authz,
    envoy_rls,
    otlp,
)
HTTP = (
    envoy_ext_authz_http,
    otlp,
)
