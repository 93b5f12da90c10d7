"""Pieces that panels and pages are made of: tiles, the bar of outcomes, tables."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from collector.store.queries.denials_by_rule import Denials
from dashboard.numbers import count, per_minute


def tiles(*figures: tuple[str, str, str]) -> html.Dl:
    """Each a name, a value and a class for its colour."""
    return html.Dl(
        [
            html.Div([html.Dt(name), html.Dd(value, className=kind)], className="tile")
            for name, value, kind in figures
        ],
        className="tiles",
    )


def outcome_bar(requests: float, errors: float, denied: float) -> html.Div:
    """One bar of all requests, split by how they ended."""
    fine = max(0.0, requests - errors - denied)
    parts = [("OK", fine, "ok"), ("error", errors, "bad"), ("denied", denied, "denied")]
    bar = [
        html.Div(style={"flexGrow": part}, className=f"part {kind}", title=f"{name}: {count(part)}")
        for name, part, kind in parts
        if part
    ]
    key = [
        html.Span([html.B(count(part)), f" {name}"], className=kind) for name, part, kind in parts
    ]
    return html.Div(
        [html.Div(bar, className="bar"), html.Div(key, className="key")], className="outcomes"
    )


def denial_table(denials: Sequence[Denials], seconds: float) -> Any:
    if not denials:
        return None
    rows = [
        dmc.TableTr(
            [
                dmc.TableTd([found.rule or "no rule", html.Small(f" v{found.rule_version}")]),
                dmc.TableTd(found.protocol),
                dmc.TableTd(count(found.denials), className="number"),
                dmc.TableTd(per_minute(found.denials, seconds), className="number"),
            ]
        )
        for found in denials
    ]
    head = table_head("rule", "asked by", "denied", "rate")
    return html.Div([html.H3("Denied by"), dmc.Table([head, dmc.TableTbody(rows)])], id="denied-by")


def table_head(first: str, *rest: str) -> dmc.TableThead:
    cells = [dmc.TableTh(first), *(dmc.TableTh(name, className="number") for name in rest)]
    return dmc.TableThead(dmc.TableTr(cells))
