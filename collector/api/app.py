"""The API: its routers as one application, described at /docs."""

from fastapi import APIRouter, FastAPI

ABOUT = """Rules and quotas of a service mesh: made here, in force in every collector within two
seconds. Sidecars use the other side: Envoy's ext_authz, rate limits and access logs, and OTLP."""
TAGS = [
    {"name": "rules", "description": "What to decide, and when."},
    {"name": "quotas", "description": "Parts of quota rules, and what is used of them by whom."},
    {"name": "lists", "description": "What rules ask by name."},
    {"name": "versions", "description": "Every state the rule set was in, and the way back."},
    {"name": "audit", "description": "Who did what, to what, why and when."},
    {"name": "checks", "description": "May it pass?"},
    {"name": "decisions", "description": "What was decided, and by which rule."},
    {"name": "pipeline", "description": "What was accepted, and what became of it."},
    {"name": "collectors", "description": "Who runs which version of the rules."},
]


def api_app(*routers: APIRouter) -> FastAPI:
    app = FastAPI(title="meshmeter", version="1", description=ABOUT, openapi_tags=TAGS)
    for router in routers:
        app.include_router(router)
    return app
