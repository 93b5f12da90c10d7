"""The demo's one rule, made through the API as anybody would."""

import httpx

from demo.topology import FRONTEND, MOBILE

NAME = "mobile-to-frontend"


def quota_rule(rate: float, share: float) -> dict[str, object]:
    """Lets two thirds of the mobile caller's requests pass."""
    return {
        "kind": "quota",
        "name": NAME,
        "description": "The mobile app may ask the frontend for two thirds of what it asks.",
        "match": f'source.service == "{MOBILE}" && destination.service == "{FRONTEND}"',
        "algorithm": "token-bucket",
        "limit": max(1, round(rate * share * 2 / 3)),
        "window": 1,
    }


def create(collector_url: str, rule: dict[str, object]) -> None:
    """Creates the rule, or replaces it when an earlier demo left it. Raises httpx.HTTPError."""
    with httpx.Client(base_url=f"{collector_url}/api/v1", timeout=10) as api:
        found = api.post("/rules", json=rule)
        if found.status_code == httpx.codes.CONFLICT:
            found = api.put(f"/rules/{rule['name']}", json=rule)
        found.raise_for_status()
