"""What a page shows when there is nothing to draw: why, and what to do about it."""

from datetime import UTC, datetime
from typing import Any

from dash import dcc, html

from collector.settings import Settings, host_port
from dashboard.view import SECOND_NS, View

ANY_HOST = ("0.0.0.0", "::", "")  # noqa: S104 (compared with, not bound to)


def empty(settings: Settings, view: View, newest_ns: int, path: str) -> html.Div:
    if not newest_ns:
        return start_here(settings, path)
    newest = datetime.fromtimestamp(newest_ns // SECOND_NS, UTC)
    return html.Div(
        [
            html.H2(f"No calls in {view.described()}"),
            html.P(f"The newest call is of {newest:%Y-%m-%d %H:%M:%S} UTC."),
            html.P(
                [
                    dcc.Link("Look at 24 hours", href=path + view.search(window="24h", **NO_ENDS)),
                    " or ",
                    dcc.Link(
                        "around the newest call", href=path + view.search(**around(newest_ns))
                    ),
                    ".",
                ]
            ),
        ],
        className="empty",
    )


NO_ENDS = {"start": "", "end": ""}


def around(newest_ns: int) -> dict[str, str]:
    """A window of a quarter of an hour that ends with the newest call."""
    end_s = newest_ns // SECOND_NS + 1
    return {"start": str(end_s - 900), "end": str(end_s)}


def start_here(settings: Settings, path: str) -> html.Div:
    """Nothing was ever stored: how to send the first call."""
    grpc, http = reachable(settings.grpc), reachable(settings.http)
    return html.Div(
        [
            html.H2("No call has been reported yet"),
            html.P(
                "This page draws itself within seconds of the first one. Three ways to send it:"
            ),
            step(
                "Try it with a shop of services behind real Envoys",
                "meshmeter demo",
                f"{path}-snippet-demo",
            ),
            step(
                "Point an Envoy sidecar here",
                "meshmeter sidecar envoy --service cart.shop > envoy.yaml\nenvoy -c envoy.yaml",
                f"{path}-snippet-envoy",
            ),
            step(
                "Point an OpenTelemetry SDK or Collector here",
                "export OTEL_SERVICE_NAME=cart.shop\n"
                f"export OTEL_EXPORTER_OTLP_ENDPOINT=http://{grpc}\n"
                "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
                f"{path}-snippet-otel",
            ),
            html.P(
                [
                    "The collector listens at ",
                    html.Code(grpc),
                    " for gRPC (ext_authz, rate limit, access log, OTLP) and at ",
                    html.Code(f"http://{http}"),
                    " for HTTP (OTLP at ",
                    html.Code("/v1/traces"),
                    ", the API at ",
                    html.Code("/docs"),
                    ").",
                ],
                className="quiet",
            ),
        ],
        className="empty start",
    )


def step(title: str, code: str, name: str) -> html.Div:
    snippet: list[Any] = [
        html.Pre(code, id=name),
        dcc.Clipboard(target_id=name, className="copy", title="copy"),
    ]
    return html.Div([html.H3(title), html.Div(snippet, className="snippet")])


def reachable(address: str) -> str:
    """The address as others reach it: a collector on every interface has this machine's name."""
    host, port = host_port(address)
    return f"HOST:{port}" if host in ANY_HOST else address
