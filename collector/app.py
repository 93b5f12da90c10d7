"""The collector put together: one process, one event loop, both doors."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import uvloop

from collector.accounts import Accounts
from collector.api.agreement import agreement_router
from collector.api.app import api_app
from collector.api.audit import audit_router
from collector.api.checks import checks_router
from collector.api.collectors import collectors_router, roster_router
from collector.api.dead import dead_router
from collector.api.decisions import decisions_router
from collector.api.evaluate import evaluate_router
from collector.api.importing import import_router
from collector.api.lists import lists_router
from collector.api.names import names_router
from collector.api.outbox import outbox_router
from collector.api.query import query_router
from collector.api.quotas import quotas_router
from collector.api.reconciliation import reconciliation_router
from collector.api.rules import rules_router
from collector.api.servicegraph import servicegraph_router
from collector.api.status import status_router
from collector.api.usage import usage_router
from collector.api.versions import versions_router
from collector.api.zipkin_query import zipkin_router
from collector.checker import EngineChecker
from collector.consumption import Consumption
from collector.dead import Dead
from collector.decisions.explainer import Explainer
from collector.decisions.history import DecisionHistory
from collector.decisions.log import DecisionLog
from collector.dispatcher import Dispatcher, dispatcher
from collector.errors import InvalidSetting
from collector.frontends import GRPC, HTTP, SOCKETS
from collector.heir import heir
from collector.internal import router as internal_router
from collector.lists import ListKeeper, ListMetrics, Places
from collector.memory import Memory
from collector.outbox import NameLimits, Outbox, OutboxMetrics
from collector.own import Own
from collector.questions import Questions
from collector.quota_metrics import LeaseMetrics
from collector.reporter import OutboxReporter
from collector.services import Services
from collector.settings import Settings
from collector.shares import QuotaSharing, UsageRecorder
from collector.snapshots import SnapshotKeeper
from collector.status.activity import Activity
from collector.status.bag_sample import BagSample
from collector.status.heartbeat import Heartbeat, Named
from collector.status.roster import Roster
from collector.status.rule_status import RuleStatuses
from collector.store.client import Store
from collector.transport.asgi import Door
from collector.transport.connections import ConnectionLimits
from collector.transport.server import serve
from observe import Check
from policy.engine import Engine
from policy.errors import CountersDown, RulesDown, UnsuitableCounters
from policy.quota.counters import RedisCounters
from policy.quota.leased import LeasedCounters
from policy.quota.lending import Lending
from policy.quota.local import LocalCounters
from policy.quota.members import Members
from policy.quota.shares import RedisShares
from policy.quota.tallies import RedisTallies
from policy.store import RuleStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a collector is made of, while it runs."""

    services: Services
    outbox: Outbox
    sender: Dispatcher  # to be started
    rules: RuleStore
    keeper: SnapshotKeeper
    lists: ListKeeper
    explainer: Explainer
    decisions: DecisionHistory
    questions: Questions
    dead: Dead
    consumption: Consumption
    statuses: RuleStatuses
    roster: Roster


@asynccontextmanager
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    """Made from the inside out and closed in reverse. Raises InvalidSetting."""
    async with AsyncExitStack() as owned:
        outbox = Outbox(
            settings.data_dir / "outbox",
            settings.outbox_max_bytes,
            names=NameLimits(settings.max_services, settings.max_operations),
        )
        owned.callback(outbox.close)
        owned.callback(OutboxMetrics(outbox).close)
        sender = dispatcher(settings, outbox, lambda: Store(settings.clickhouse_url))
        owned.push_async_callback(asyncio.to_thread, sender.stop)
        inheriting = heir(settings, lambda: Store(settings.clickhouse_url))
        inheriting.start()
        owned.push_async_callback(asyncio.to_thread, inheriting.stop)

        shared = RedisCounters(settings.redis_url)
        owned.push_async_callback(shared.close)
        await look_at(shared)
        lending = Lending(settings.redis_url)
        owned.push_async_callback(lending.close)
        counters = LeasedCounters(shared, lending=lending)
        owned.push_async_callback(counters.give_back)
        owned.callback(LeaseMetrics(counters).close)
        members = Members(settings.redis_url)
        owned.push_async_callback(members.close)
        local = LocalCounters(lambda: members.live)
        engine = Engine(counters, local=local)
        rules = rule_store(settings.rules_url)
        owned.callback(rules.close)
        places = Places.named(settings.lists_networks, settings.lists_dir)
        lists = ListKeeper(settings.data_dir, places)
        owned.callback(ListMetrics(lists).close)
        keeper = SnapshotKeeper(engine, rules, settings.data_dir, settings.rules_poll_s, lists)
        await keeper.start()
        owned.push_async_callback(keeper.close)

        reporter = OutboxReporter(outbox)
        decisions = DecisionLog(reporter)
        owned.push_async_callback(decisions.close)
        own = Own(
            (settings.http, settings.grpc, settings.dashboard), settings.own_services.split(",")
        )
        sample = BagSample(engine, settings.rules_idle_s)
        checker = EngineChecker(engine, decisions, settings.allow_sample, own, sample)
        tallies = RedisTallies(settings.redis_url)
        owned.push_async_callback(tallies.close)
        activity = Activity(engine, sample, tallies)
        activity.start()
        owned.push_async_callback(activity.close)
        shares = RedisShares(settings.redis_url)
        owned.push_async_callback(shares.close)
        usage = UsageRecorder(decisions, settings.allow_sample)
        sharing = QuotaSharing(engine, shares, usage, own, sample, live=lambda: members.live)
        owned.push_async_callback(sharing.close)
        explainer = Explainer(engine, counters, local, lists.lists, own)
        reading = Store(settings.clickhouse_read_url)
        owned.callback(reading.close)
        writing = Store(settings.clickhouse_url)
        owned.callback(writing.close)
        named = Named(outbox.collector_id, settings.collector_url)
        heartbeat = Heartbeat(members, named, keeper, readiness(keeper, outbox), reading.ping)
        await heartbeat.start()
        owned.push_async_callback(heartbeat.close)
        yield Parts(
            Services(checker, reporter, sharing, Memory(settings.memory_soft_bytes)),
            outbox,
            sender,
            rules,
            keeper,
            lists,
            explainer,
            DecisionHistory(reading, decisions.recent),
            Questions(reading),
            Dead(outbox, reading, writing),
            Consumption(engine, counters, rules.audit),
            RuleStatuses(engine, activity, sample, tallies, settings.rules_idle_s),
            Roster(members, heartbeat, rules),
        )


def rule_store(url: str) -> RuleStore:
    """Nothing connects yet. Raises InvalidSetting for a URL that no database has."""
    try:
        return RuleStore(url)
    except RulesDown as error:
        raise InvalidSetting(f"MESHMETER_RULES_URL: {error}") from error


async def look_at(counters: RedisCounters) -> None:
    """Raises InvalidSetting for a server that may evict; one that is down is only said."""
    try:
        await counters.check_server()
    except CountersDown as error:
        log.warning(
            "The counters do not answer; quotas follow their failure policy",
            extra={"why": str(error)},
        )
    except UnsuitableCounters as error:
        raise InvalidSetting(str(error)) from error


def door(made: Parts, settings: Settings) -> Door:
    """Checks and reports around FastAPI, which has the API."""
    api = api_app(
        rules_router(made.rules, made.keeper),
        quotas_router(made.rules, made.keeper),
        usage_router(made.consumption),
        lists_router(made.rules.lists, made.keeper, made.lists),
        import_router(made.rules, made.keeper, made.lists),
        versions_router(made.rules.history, made.keeper),
        audit_router(made.rules.audit),
        checks_router(made.services.checker, settings.check_deadline_s),
        evaluate_router(made.explainer),
        decisions_router(made.decisions, settings.allow_sample),
        agreement_router(made.decisions, made.rules, settings.allow_sample),
        status_router(made.rules, made.statuses),
        collectors_router(made.keeper),
        roster_router(made.roster),
        query_router(made.questions),
        zipkin_router(made.questions),
        servicegraph_router(made.questions),
        reconciliation_router(Accounts(made.outbox)),
        outbox_router(Accounts(made.outbox)),
        names_router(made.outbox),
        dead_router(made.dead),
        internal_router(made.outbox, settings),
    )
    methods = {
        path: method
        for frontend in GRPC
        for path, method in frontend.grpc_methods(made.services, settings).items()
    }
    routes = {
        path: handler
        for frontend in HTTP
        for path, handler in frontend.http_routes(made.services, settings).items()
    }
    return Door(methods, routes, readiness(made.keeper, made.outbox), api)


def readiness(keeper: SnapshotKeeper, outbox: Outbox) -> dict[str, Check]:
    return {"rules": keeper.ready, "outbox": outbox.trouble}


async def collect(settings: Settings, stop: asyncio.Event) -> None:
    """Until `stop` is set and what is in flight is answered. Raises InvalidSetting."""
    async with parts(settings) as made, AsyncExitStack() as sockets:
        for frontend in SOCKETS:
            await sockets.enter_async_context(frontend.listening(made.services, settings))
        addresses = [settings.http, settings.grpc]
        limits = ConnectionLimits.named(
            settings.connections_per_address, settings.connections_trusted
        )
        # Workers come for what is sent at once: not before there is somebody to answer.
        await serve(
            door(made, settings),
            addresses,
            stop,
            started=lambda _bound: made.sender.start(),
            limits=limits,
        )


def run_collector(settings: Settings) -> int:
    """Until SIGTERM or SIGINT. Raises InvalidSetting."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        # Modules stay: to look through them for garbage held every check up for 40 ms at times.
        gc.collect()
        gc.freeze()
        await collect(settings, stop)

    uvloop.run(main())
    return 0
