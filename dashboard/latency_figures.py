"""The two pictures of the latency page. Times are UTC."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import log10
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from collector.store.queries.latency import Latency, Moment
from dashboard.numbers import count, duration
from dashboard.theme import BAD, DENIED, shade

BUCKETS_A_CELL = 4  # eight buckets an octave are finer than a screen shows
BLUES = {
    "light": {"p50": "#74c0fc", "p95": "#228be6", "p99": "#0b4a8f", "rate": "#adb5bd"},
    "dark": {"p50": "#1971c2", "p95": "#4dabf7", "p99": "#d0ebff", "rate": "#5c5f66"},
}
DASHES = {"p50": "dot", "p95": "dash", "p99": "solid"}
SCALES = {"light": ["#e7f5ff", "#4dabf7", "#0b3d75"], "dark": ["#1b2c42", "#339af0", "#e7f5ff"]}
DECADES_MS = [0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000]
FEW_TICKS = 3
UI_REVISION = "kept"  # zoom stays as it is when new points come


def when(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None)


def percentiles_figure(found: Latency, scheme: str) -> go.Figure:
    """p50, p95 and p99 as lines over the request rate as an area. A gap is a step without calls."""
    told = {moment.start_s: moment for moment in found.moments}
    times = [when(second) for second in found.steps]
    colours = BLUES[scheme]
    rates = [told[s].requests / found.steps.step if s in told else 0.0 for s in found.steps]
    figure = go.Figure(
        go.Scatter(
            x=times,
            y=rates,
            name="requests/s",
            yaxis="y2",
            mode="lines",
            line={"width": 0, "shape": "hv"},
            fill="tozeroy",
            fillcolor=faint(colours["rate"], 0.35),
            hovertemplate="%{y:.3~g}/s",
        )
    )
    for name, dash in DASHES.items():
        values = [getattr(told[s], f"{name}_ms") if s in told else None for s in found.steps]
        figure.add_scatter(
            x=times,
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": colours[name], "width": 2, "dash": dash},
            marker={"size": 4},
            customdata=[[duration(value) if value else ""] for value in values],
            hovertemplate="%{customdata[0]}",
        )
    figure.update_layout(
        **common(scheme),
        hovermode="x unified",
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.14},
        margin={"l": 64, "r": 64, "t": 34, "b": 30},
        yaxis={"title": "ms", "rangemode": "tozero", "gridcolor": grid(scheme), "zeroline": False},
        yaxis2={"title": "requests/s", "overlaying": "y", "side": "right", "zeroline": False,
                "showgrid": False,
                "tickmode": "auto", "nticks": 4, "range": [0, 2 * max(rates, default=1) or 1]},
    )  # fmt: skip
    figure.update_xaxes(range=span(found), showgrid=False, zeroline=False)
    return figure


def heatmap_figure(found: Latency, scheme: str) -> go.Figure:
    """Requests by time and duration, under a row of denials and one of errors."""
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, row_heights=[0.07, 0.07, 0.86], vertical_spacing=0.02
    )
    times = [when(second) for second in found.steps]
    told = {moment.start_s: moment for moment in found.moments}
    moments = [told.get(second) for second in found.steps]
    for row, (name, colour) in enumerate((("denied", DENIED), ("errors", BAD)), start=1):
        figure.add_trace(outcome_row(name, shade(colour, scheme), times, moments), row=row, col=1)
        figure.update_yaxes(tickvals=[0], ticktext=[name], range=[-0.5, 0.5], row=row)
    cells, counts = grid_of(moments)
    figure.add_trace(
        go.Heatmap(
            name="requests",
            x=times,
            y=cells,
            z=[[log10(1 + n) if n else None for n in line] for line in counts],
            customdata=[
                [[count(n), duration(cell_ms(cell)), duration(cell_ms(cell + 1))] for n in line]
                for cell, line in zip(cells, counts, strict=True)
            ],
            hovertemplate="%{x|%H:%M:%S} UTC<br>%{customdata[1]} – %{customdata[2]}"
            "<br><b>%{customdata[0]}</b> requests<extra></extra>",
            colorscale=SCALES[scheme],
            showscale=False,
            xgap=1,
            ygap=1,
            hoverongaps=False,
        ),
        row=3,
        col=1,
    )
    figure.update_layout(
        **common(scheme), margin={"l": 64, "r": 64, "t": 8, "b": 30}, showlegend=False
    )
    figure.update_xaxes(range=span(found), showgrid=False, zeroline=False)
    figure.update_yaxes(showgrid=False, zeroline=False)
    ticks = ticks_ms(cells)
    figure.update_yaxes(
        tickvals=[ms_cell(ms) for ms in ticks], ticktext=[duration(ms) for ms in ticks], row=3
    )
    return figure


def ticks_ms(cells: Sequence[int]) -> list[float]:
    """Powers of ten, with twos and fives between them when there are few."""
    if not cells:
        return []
    lowest, highest = cell_ms(cells[0]), cell_ms(cells[-1] + 1)
    decades = [ms for ms in DECADES_MS if lowest <= ms <= highest]
    if len(decades) >= FEW_TICKS:
        return decades
    return [ms * n for ms in DECADES_MS for n in (1, 2, 5) if lowest <= ms * n <= highest]


def outcome_row(
    name: str,
    colour: str,
    times: Sequence[datetime],
    moments: Sequence[Moment | None],
) -> go.Heatmap:
    counts = [getattr(moment, name) if moment else 0 for moment in moments]
    return go.Heatmap(
        name=name,
        x=times,
        y=[0],
        z=[[log10(1 + n) if n else None for n in counts]],
        customdata=[[count(n) for n in counts]],
        hovertemplate="%{x|%H:%M:%S} UTC<br><b>%{customdata}</b> " + name + "<extra></extra>",
        colorscale=[faint(colour, 0.25), colour],
        zmin=0,
        showscale=False,
        xgap=1,
        hoverongaps=False,
    )


def grid_of(moments: Sequence[Moment | None]) -> tuple[list[int], list[list[int]]]:
    """The cells from the quickest to the slowest there is, and their counts by time."""
    columns: list[Mapping[int, int]] = []
    for moment in moments:
        column: dict[int, int] = defaultdict(int)
        for bucket, requests in moment.counts.items() if moment else ():
            column[bucket // BUCKETS_A_CELL] += requests
        columns.append(column)
    there = [cell for column in columns for cell in column]
    if not there:
        return [], []
    cells = list(range(min(there) - 1, max(there) + 2))
    return cells, [[column.get(cell, 0) for column in columns] for cell in cells]


def cell_ms(cell: float) -> float:
    return float(2 ** (cell * BUCKETS_A_CELL / 8)) / 1000


def ms_cell(milliseconds: float) -> float:
    """Where on the axis of cells, whose boxes are drawn around whole numbers."""
    return log10(milliseconds * 1000) / log10(2) * 8 / BUCKETS_A_CELL - 0.5


def span(found: Latency) -> list[datetime]:
    half = timedelta(seconds=found.steps.step / 2)
    return [when(found.steps[0]) - half, when(found.steps[-1]) + half]


def common(scheme: str) -> dict[str, Any]:
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12,
                 "color": "#c1c2c5" if scheme == "dark" else "#495057"},
        "hoverlabel": {"bgcolor": "#25262b" if scheme == "dark" else "#ffffff",
                       "font": {"color": "#e9ecef" if scheme == "dark" else "#212529"}},
        "uirevision": UI_REVISION,
    }  # fmt: skip


def grid(scheme: str) -> str:
    return "#373a40" if scheme == "dark" else "#e9ecef"


def faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
