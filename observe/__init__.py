"""How a process shows itself: structured logs, /healthz, /readyz, /metrics."""

from observe.health import Check, health_answer, serve_health
from observe.logs import configure_logging

__all__ = ["Check", "configure_logging", "health_answer", "serve_health"]
