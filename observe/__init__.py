"""How a process shows itself: structured logs, /healthz, /readyz, /metrics."""

from observe.health import Check, health_answer, serve_health
from observe.logs import configure_logging
from observe.version import VERSION

__all__ = ["VERSION", "Check", "configure_logging", "health_answer", "serve_health"]
