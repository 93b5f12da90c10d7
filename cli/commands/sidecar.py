"""`meshmeter sidecar`: configurations that point a data plane at this collector."""

import os
import sys
from typing import Annotated

import typer
import yaml

from collector.errors import InvalidSetting
from collector.settings import Settings, host_port
from collector.sidecar.envoy import envoy_config
from collector.sidecar.sidecar import (
    Address,
    CheckProtocol,
    FailureMode,
    Sidecar,
    Upstream,
    qualified,
)

app = typer.Typer(help="Print a sidecar's configuration.", no_args_is_help=True)


@app.callback()
def sidecar() -> None:
    """Print a sidecar's configuration."""


@app.command()
def envoy(
    service: Annotated[str, typer.Option(help="the service's name, or NAME.NAMESPACE")],
    namespace: Annotated[str, typer.Option(help="of names that have none")] = "default",
    instance: Annotated[int, typer.Option(help="which of its instances; part of the node id")] = 1,
    app_port: Annotated[
        int, typer.Option(help="where the application listens; 0: it only calls others")
    ] = 8080,
    inbound_port: Annotated[int, typer.Option(help="where others reach the service")] = 15006,
    inbound_host: Annotated[str, typer.Option(help="bind address of that port")] = "0.0.0.0",  # noqa: S104
    outbound: Annotated[
        list[str] | None,
        typer.Option(help="a service it calls, SERVICE=HOST:PORT; may be given again"),
    ] = None,
    outbound_port_base: Annotated[
        int, typer.Option(help="local port of the first outbound service; each further, one more")
    ] = 15100,
    admin_port: Annotated[int, typer.Option(help="Envoy's own, on the loopback")] = 15000,
    collector_grpc: Annotated[
        str, typer.Option(help="host:port; default: MESHMETER_GRPC", show_default=False)
    ] = "",
    collector_http: Annotated[
        str, typer.Option(help="host:port; default: MESHMETER_HTTP", show_default=False)
    ] = "",
    check: Annotated[
        CheckProtocol, typer.Option(help="how it asks")
    ] = CheckProtocol.EXT_AUTHZ_GRPC,
    rls_descriptor: Annotated[
        list[str] | None,
        typer.Option(
            help="KEY=HEADER, a further entry of the descriptor or bucket; may be given again"
        ),
    ] = None,
    check_header: Annotated[
        list[str] | None,
        typer.Option(help="a request header that ext-authz-http checks see; may be given again"),
    ] = None,
    failure_mode: Annotated[
        FailureMode, typer.Option(help="requests pass or not while no collector answers")
    ] = FailureMode.CLOSED,
    sampling: Annotated[float, typer.Option(help="percent of requests traced")] = 100.0,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="count requests in the sidecar, and send the counts")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(help="worker threads, for the command line in the first comment")
    ] = 2,
) -> None:
    """Print a complete Envoy v3 configuration: checks before, reports after, in and out."""
    settings = Settings.from_environ(os.environ)
    full = qualified(service, namespace)
    name, _, space = full.partition(".")
    made = Sidecar(
        service=full,
        node=f"{name}-{instance}.{space}",
        collector_grpc=address(collector_grpc or settings.grpc),
        collector_http=address(collector_http or settings.http),
        admin=Address("127.0.0.1", admin_port),
        inbound=Address(inbound_host, inbound_port) if app_port else None,
        app=Address("127.0.0.1", app_port) if app_port else None,
        upstreams=tuple(
            upstream(entry, space, outbound_port_base + place)
            for place, entry in enumerate(outbound or [])
        ),
        check=check,
        failure_mode=failure_mode,
        sampling_percent=sampling,
        descriptors=tuple(pair(entry, "KEY=HEADER") for entry in rls_descriptor or []),
        check_headers=tuple(header.lower() for header in check_header or []),
        metrics=metrics,
    )
    print(f"# {full}: save as envoy.yaml, then")
    print(f"# envoy --config-path envoy.yaml --concurrency {concurrency}")
    yaml.safe_dump(envoy_config(made), sys.stdout, sort_keys=False)


def upstream(entry: str, namespace: str, listen_port: int) -> Upstream:
    service, where = pair(entry, "SERVICE=HOST:PORT")
    listen = Address("127.0.0.1", listen_port)
    return Upstream(qualified(service, namespace), address(where), listen)


def pair(entry: str, form: str) -> tuple[str, str]:
    """Raises InvalidSetting."""
    key, _, value = entry.partition("=")
    if not key or not value:
        raise InvalidSetting(f"{entry!r} is not {form}")
    return key, value


def address(text: str) -> Address:
    return Address(*host_port(text))
