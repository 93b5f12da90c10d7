"""Checks over gRPC all the time while rules are changed, each held to what the rules said then."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc

from collector.frontends.envoy_ext_authz import PATH
from collector.proto import envoy_pb2 as pb
from tests import plain_http
from tests.bad_input.live import LiveCollector

CALLERS = 2
PAUSE_S = 0.008  # of each caller: the changes are to have their turn
WITHIN_S = 5.0  # an answer that takes longer is none
OPEN, SHUT = "open", "shut"  # requests to the one pass, to the other they do not
OPEN_STATE = "x-state"


class Count(NamedTuple):
    """What came of the checks; `stale` counts answers of a version that was no more, or not yet."""

    answered: int
    denied: int
    stale: int
    failed: Mapping[str, int]  # by what the failure was


def rule(name: str, state: int) -> dict[str, Any]:
    """That of requests to `name`; every answer by it tells the state."""
    action: dict[str, Any] = {"kind": "deny", "message": f"{state}"}
    if name == OPEN:
        replace = {"operation": "replace", "name": OPEN_STATE, "value": f"{state}"}
        action = {"kind": "headers", "request": [replace]}
    return {"name": name, "match": f'destination.service == "{name}"', **action}


class Reloading:
    """Two rules that are changed, and others that come and go."""

    def __init__(self, collector: LiveCollector) -> None:
        self._collector = collector
        self._api = plain_http.Client(base_url=f"{collector.url}/api/v1", timeout=60)
        self.sent, self.answered = dict.fromkeys((OPEN, SHUT), 0), dict.fromkeys((OPEN, SHUT), 0)
        self._over = threading.Event()
        for name in (OPEN, SHUT):
            self._api.post("/rules", json=rule(name, 0)).raise_for_status()

    def change(self, number: int) -> None:
        """The version grows by one."""
        name = (OPEN, SHUT, "", "")[number % 4]
        if name:
            self.sent[name] = number
            self._api.patch(f"/rules/{name}", json=rule(name, number)).raise_for_status()
            self.answered[name] = number
        elif number % 4 == 2:
            self._api.post("/rules", json=rule("other", number)).raise_for_status()
        else:
            self._api.delete("/rules/other").raise_for_status()

    def check(self, name: str) -> int:
        """The state of the rule that answered. Raises grpc.RpcError, and AssertionError for an
        answer that no state gives."""
        asked = pb.CheckRequest()
        asked.attributes.context_extensions["destination.service"] = name
        call = self._collector.channel.unary_unary(PATH)
        answer = pb.CheckResponse.FromString(call(asked.SerializeToString(), timeout=WITHIN_S))
        denied = answer.status.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
        assert denied is (name == SHUT), answer
        if denied:
            return int(json.loads(answer.denied_response.body)["reason"])
        headers = {each.header.key: each.header.value for each in answer.ok_response.headers}
        return int(headers[OPEN_STATE])

    def keep_checking(self) -> Counter[str]:
        """Until it is over."""
        found: Counter[str] = Counter()
        while not self._over.wait(PAUSE_S):
            for name in (OPEN, SHUT):
                first = self.answered[name]
                try:
                    state = self.check(name)
                except (grpc.RpcError, AssertionError, KeyError, ValueError) as error:
                    found[f"failed: {error}"] += 1
                    continue
                found[name] += 1
                found["stale"] += not first <= state <= self.sent[name]
        return found

    def close(self) -> None:
        self._api.close()

    @contextmanager
    def under_load(self) -> Iterator[Counter[str]]:
        """The counts are there when it is over."""
        total: Counter[str] = Counter()
        with ThreadPoolExecutor(CALLERS) as threads:
            calling = [threads.submit(self.keep_checking) for _ in range(CALLERS)]
            try:
                yield total
            finally:
                self._over.set()
                for caller in calling:
                    total.update(caller.result())


def reloaded(collector: LiveCollector, changes: int) -> Count:
    """What came of the checks while that many changes were made and in force one by one."""
    reloading = Reloading(collector)
    with reloading.under_load() as total:
        for number in range(1, changes + 1):
            reloading.change(number)
    reloading.close()
    failed = {what: count for what, count in total.items() if what.startswith("failed")}
    return Count(total[OPEN] + total[SHUT], total[SHUT], total["stale"], failed)
