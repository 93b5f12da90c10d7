"""A small mesh written into the store, with numbers a test can count on."""

import time
from dataclasses import dataclass

from collector.store.client import Store
from tests.collector.stored_rows import MS, SECOND, decision, insert, request


@dataclass(frozen=True)
class Mesh:
    """A dashboard on the shop's database, and the query for the five minutes of its traffic."""

    base: str
    span: str


def shop(store: Store) -> str:
    """web and mobile call frontend, which calls cart; mobile is denied a quarter by free-tier.

    web → frontend 60 requests, none fails; mobile → frontend 40, of them 10 denied;
    frontend → cart 50 of 40 ms, of them 5 fail. All within the last two minutes, in a mesh that
    has reported for an hour.
    Returns the query for the five minutes that end now.
    """
    now_ns = time.time_ns()

    def at_ns(number: int) -> int:
        return now_ns - (2 + number) * SECOND

    rows = [request(at_ns(n), "web.shop", "frontend.shop") for n in range(60)]
    rows += [
        request(at_ns(n), "mobile.shop", "frontend.shop", denied=int(n < 10)) for n in range(40)
    ]
    rows += [
        request(at_ns(n), "frontend.shop", "cart.shop", duration_ns=40 * MS, error=int(n < 5))
        for n in range(50)
    ]
    rows.append(request(now_ns - 3600 * SECOND, "web.shop", "frontend.shop"))
    insert(store, "requests", rows)
    denials = [decision(at_ns(n), "mobile.shop", "frontend.shop") for n in range(10)]
    insert(store, "decisions", denials)
    end_s = now_ns // SECOND
    return f"start={end_s - 300}&end={end_s}"
