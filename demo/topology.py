"""The shop: who calls whom, who is slow, who fails, and by which protocol each is checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.sidecar.sidecar import CheckProtocol


@dataclass(frozen=True)
class Call:
    service: str
    path: str
    method: str = "GET"
    needed: bool = True  # without it the caller fails too


@dataclass(frozen=True)
class Service:
    """`routes` gives, by first path segment, what a request makes it call, all at once.

    Its own work takes a log-normal time: `median_ms` and `spread`, the standard deviation of the
    logarithm. `failing` is the share of requests answered 503.
    """

    name: str
    routes: Mapping[str, tuple[Call, ...]]
    check: CheckProtocol = CheckProtocol.EXT_AUTHZ_GRPC
    median_ms: float = 2.0
    spread: float = 0.4
    failing: float = 0.0


@dataclass(frozen=True)
class Caller:
    """A client of the shop: its share of all requests, and how often it asks for what."""

    name: str
    share: float
    asks: Mapping[Call, float] = field(default_factory=dict)


FRONTEND = "frontend.shop"
MOBILE = "mobile.shop"

HOME = Call(FRONTEND, "/home")
CHECKOUT = Call(FRONTEND, "/checkout", "POST")

SERVICES = (
    Service(
        FRONTEND,
        {
            "home": (
                Call("catalog.shop", "/products"),
                Call("cart.shop", "/items"),
                Call("recommendations.shop", "/for-you", needed=False),
            ),
            "checkout": (Call("checkout.shop", "/orders", "POST"),),
        },
    ),
    Service("catalog.shop", {"products": ()}, check=CheckProtocol.EXT_AUTHZ_HTTP, median_ms=5),
    Service(
        "cart.shop",
        {"items": (Call("pricing.shop", "/quote"), Call("inventory.shop", "/stock"))},
    ),
    Service("recommendations.shop", {"for-you": ()}, median_ms=120, spread=0.7),
    Service(
        "checkout.shop",
        {"orders": (Call("cart.shop", "/items"), Call("payment.shop", "/charges", "POST"))},
    ),
    Service("payment.shop", {"charges": ()}, median_ms=25, failing=0.05),
    Service("pricing.shop", {"quote": ()}, check=CheckProtocol.RLS),
    Service("inventory.shop", {"stock": ()}, median_ms=4),
)

CALLERS = (
    Caller("web.shop", 0.625, {HOME: 0.8, CHECKOUT: 0.2}),
    Caller(MOBILE, 0.375, {HOME: 0.7, CHECKOUT: 0.3}),
)


def called_by(service: Service | Caller) -> list[str]:
    """The services it calls, each once, in order."""
    if isinstance(service, Caller):
        calls = list(service.asks)
    else:
        calls = [call for calls in service.routes.values() for call in calls]
    return list(dict.fromkeys(call.service for call in calls))
