"""What Envoy counts for us: requests, bytes and latency of each edge, added up in the sidecar.

Totals since Envoy started, sent every few seconds: what a collector missed is in the next ones, so
a restart of it loses nothing. A request costs the collector next to nothing this way.
Envoy's own statistics stay where they are, on its admin port.
"""

from collector.sidecar.envoy_report import again, identity, instance, resource_detector
from collector.sidecar.envoy_types import Config, typed
from collector.sidecar.sidecar import Sidecar

STATS_LOG = "envoy.extensions.access_loggers.stats.v3.Config"
SINK = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig"
STAT_NAME = "envoy.extensions.matching.common_inputs.stats.v3.StatFullNameMatchInput"
EVERY = "5s"
SCOPE = "mesh"
# Of one listener. Callers name themselves: who makes up names must not fill the sidecar's memory.
# What comes after these is counted nowhere.
MOST_COUNTERS, MOST_HISTOGRAMS = 6000, 2000
# Sent even when nothing was counted yet: so a first count is known to be of the last seconds, and
# not of all the time since Envoy started.
HEARTBEAT = "server.live"
CALLER = "%REQ(X-ENVOY-DOWNSTREAM-SERVICE-CLUSTER)%"


def stats_access_log(sidecar: Sidecar, reporter: str, destination: str) -> list[Config]:
    """Counters and a histogram by what is told of a request; none when they are not asked for."""
    if not sidecar.metrics:
        return []
    edge = {
        "reporter": reporter,
        "source": CALLER if reporter == "inbound" else sidecar.service,
        "source_principal": "%DOWNSTREAM_PEER_URI_SAN%" if reporter == "inbound" else "-",
        "destination": destination,
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "rule": "%RESP(X-MESHMETER-RULE)%",
    }
    tags = [{"name": name, "value_format": value} for name, value in edge.items()]

    def stat(name: str) -> Config:
        return {"name": name, "tags": tags}

    fields: Config = {
        "stats_scope": {
            "prefix": SCOPE,
            "max_counters": MOST_COUNTERS,
            "max_histograms": MOST_HISTOGRAMS,
        },
        "counters": [
            {"stat": stat("requests"), "value_fixed": 1},
            {"stat": stat("request_bytes"), "value_format": "%BYTES_RECEIVED%"},
            {"stat": stat("response_bytes"), "value_format": "%BYTES_SENT%"},
        ],
        "histograms": [
            {
                "stat": stat("request_duration"),
                "unit": "Milliseconds",
                "value_format": "%DURATION%",
            }
        ],
    }
    return [{"name": "envoy.access_loggers.stats", "typed_config": typed(STATS_LOG, fields)}]


def stats_sink(sidecar: Sidecar) -> Config:
    """Parts of the bootstrap; none when metrics are not asked for."""
    if not sidecar.metrics:
        return {}
    fields: Config = {
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "collector"},
            "timeout": "15s",
            "retry_policy": again(),
            "initial_metadata": identity(sidecar),
        },
        "resource_detectors": [
            resource_detector({"service.name": sidecar.service, **instance(sidecar)})
        ],
        "report_counters_as_deltas": False,
        "report_histograms_as_deltas": False,
        "emit_tags_as_attributes": True,
        "use_tag_extracted_name": True,
        "custom_metric_conversions": only_ours(),
    }
    sink = {"name": "envoy.stat_sinks.open_telemetry", "typed_config": typed(SINK, fields)}
    return {"stats_flush_interval": EVERY, "stats_sinks": [sink]}


def only_ours() -> Config:
    """A matcher that drops every other statistic."""

    def named(how: str, name: str) -> Config:
        asked = {"name": "stat", "typed_config": typed(STAT_NAME, {})}
        return {"single_predicate": {"input": asked, "value_match": {how: name}}}

    ours = {"or_matcher": {"predicate": [named("prefix", f"{SCOPE}."), named("exact", HEARTBEAT)]}}
    drop = {"name": "drop", "typed_config": typed(f"{SINK}.DropAction", {})}
    return {
        "matcher_list": {
            "matchers": [{"predicate": {"not_matcher": ours}, "on_match": {"action": drop}}]
        }
    }
