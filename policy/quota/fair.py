"""A rate shared fairly: max-min, and what nobody wants in equal parts on top."""

from collections.abc import Mapping


def fair(wants: Mapping[str, float], rate: float) -> dict[str, float]:
    """Who wants less than an equal part gets what it wants; the others share the rest alike."""
    left, waiting = rate, len(wants)
    shares: dict[str, float] = {}
    for name in sorted(wants, key=lambda name: wants[name]):
        shares[name] = min(wants[name], left / waiting)
        left -= shares[name]
        waiting -= 1
    extra = max(left, 0.0) / max(len(wants), 1)
    return {name: share + extra for name, share in shares.items()}
