"""What every part of an Envoy configuration is made of."""

from typing import Any

Config = dict[str, Any]

DOMAIN = "meshmeter"  # of rate limits
SOURCE_HEADER = "x-envoy-downstream-service-cluster"


def typed(message: str, fields: Config) -> Config:
    """A `typed_config`: the message's full name and its fields."""
    return {"@type": f"type.googleapis.com/{message}", **fields}
