"""How the service graph is drawn: Cytoscape's stylesheet."""

from typing import Any

from dashboard.theme import BAD, DENIED, OK, UNKNOWN, WARN, shade


def style(scheme: str) -> list[dict[str, Any]]:
    """Cytoscape's stylesheet for the "light" or "dark" scheme."""
    dark = scheme == "dark"
    ground, card = ("#1a1b1e", "#25262b") if dark else ("#ffffff", "#ffffff")
    text, line = ("#e9ecef", "#909296") if dark else ("#212529", "#868e96")
    health_line = {name: shade(colour, scheme) for name, colour in
                   (("ok", OK), ("warn", WARN), ("bad", BAD), ("idle", UNKNOWN))}  # fmt: skip
    violet = shade(DENIED, scheme)
    label = {
        "label": "data(label)", "font-size": 14, "text-wrap": "wrap", "color": text,
        "text-background-color": ground,
        "text-background-opacity": 0.85, "text-background-padding": "4px",
        "text-background-shape": "roundrectangle", "z-index": 20, "line-height": 1.2,
    }  # fmt: skip
    return [
        {"selector": "core", "style": {"active-bg-opacity": 0, "selection-box-opacity": 0}},
        {"selector": "node", "style": {
            "shape": "round-rectangle", "width": 150, "height": 54, "background-color": card,
            "border-width": 2, "border-color": line, "label": "data(label)", "color": text,
            "font-size": 15, "line-height": 1.3, "text-wrap": "wrap", "text-valign": "center",
            "text-halign": "center", "overlay-opacity": 0, "z-index-compare": "manual",
            "z-index": 5, "font-family": "system-ui, sans-serif"}},
        *({"selector": f"node.{name}", "style": {"border-color": colour}}
          for name, colour in health_line.items()),
        {"selector": "node.warn, node.bad", "style": {"border-width": 3}},
        {"selector": "node.caller", "style": {"shape": "ellipse", "border-color": line}},
        {"selector": "node.outside", "style": {"shape": "cut-rectangle", "border-style": "dashed"}},
        {"selector": "node.database", "style": {"shape": "barrel", "border-color": line}},
        {"selector": "node.queue", "style": {"shape": "tag", "border-color": line}},
        {"selector": "node.host", "style": {"shape": "cut-rectangle", "border-color": line}},
        {"selector": "node.unknown", "style": {
            "shape": "hexagon", "border-style": "dotted", "border-color": line}},
        {"selector": "edge", "style": {
            "curve-style": "bezier", "width": "data(width)", "arrow-scale": 0.9,
            "target-arrow-shape": "triangle", "overlay-opacity": 0, "opacity": 0.85,
            "z-index-compare": "manual", "z-index": 1,
            "font-family": "system-ui, sans-serif", "loop-direction": "0deg"}},
        {"selector": "edge.routed", "style": {
            "curve-style": "unbundled-bezier", "edge-distances": "node-position",
            "control-point-weights": "data(weights)",
            "control-point-distances": "data(distances)"}},
        *({"selector": f"edge.{name}", "style": {
            "line-color": colour, "target-arrow-color": colour}}
          for name, colour in health_line.items()),
        {"selector": "edge.denied", "style": {
            **label, "line-color": violet, "target-arrow-color": violet, "line-style": "dashed",
            "line-dash-pattern": [7, 4], "target-arrow-shape": "tee", "color": violet,
            "font-weight": "bold", "text-margin-x": -16, "text-margin-y": 28,
            "opacity": 1}},
        {"selector": "edge.call.hover", "style": {**label, "text-margin-y": -20}},
        {"selector": "edge.hover, edge.chosen", "style": {"opacity": 1, "z-index": 30}},
        {"selector": "node.hover, node.chosen", "style": {
            "border-width": 4, "background-color": "#373a40" if dark else "#f1f3f5"}},
        {"selector": ".faded", "style": {"opacity": 0.32}},
    ]  # fmt: skip
