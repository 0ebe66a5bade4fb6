"""Chaos' part of the controller's process: what is watched, who works, and how it ends. Wires and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from rollout.api.kinds import (
    CANARY,
    CHAOS_EXPERIMENT,
    CHAOS_REPORT,
    NAMESPACE,
    SERVICE,
    Kind,
)
from rollout.chaos.desk import Desk
from rollout.chaos.killing import PodKiller
from rollout.chaos.metrics import ChaosMetrics
from rollout.chaos.observe import Observer
from rollout.chaos.probes.asking import Probes, Sources
from rollout.chaos.reconcile import Reconciler
from rollout.chaos.steadytest import SteadyTests
from rollout.chaos.traffic import TrafficCounter
from rollout.chaos.vouching import Voucher
from rollout.chaos.webhook import validate
from rollout.http.client import HttpClient
from rollout.judge.evidence.counters import CounterSource
from rollout.kube.admission import AdmissionResponse, Handler
from rollout.kube.cache import Cache
from rollout.kube.companion import Join, Shared
from rollout.kube.events import EventRecorder
from rollout.kube.fence import FencedWriter
from rollout.kube.objects import Key, Object
from rollout.kube.queue import WorkQueue, run_workers
from rollout.kube.store import Change, Store
from rollout.kube.writer import Writer

log = structlog.get_logger(__name__)

COMPONENT = "rollout-chaos"
"""The name under which events appear."""
PATH = "/validate-chaos"
"""Of the admission webhook."""
_FLUSH_SECONDS = 3.0
_LONGEST_BACKOFF_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`identity` is this process among its replicas, and names its lease."""

    identity: str
    system_namespace: str = "rollout-system"
    metrics_server: str = "http://prometheus:9090"


def chaos(options: Options) -> Join:
    """Chaos as a companion of a controller."""
    return lambda shared: Chaos(options, shared)


def utc_now() -> datetime:
    """The clock of the shell."""
    return datetime.now(UTC)


class Chaos:
    """Experiments, in a process that is shared. One worker: of two experiments that wait, one begins first."""

    def __init__(self, options: Options, shared: Shared) -> None:
        self._options, self._territory = options, shared.territory
        self._queue: WorkQueue[Key] = WorkQueue(cap=_LONGEST_BACKOFF_SECONDS)
        self._prometheus = CounterSource()
        self._http = HttpClient()
        self._client = shared.client
        stores = watch(shared.cache)
        self._voucher = Voucher(
            shared.leases,
            options.system_namespace,
            options.identity,
            shared.territory,
            utc_now,
        )
        self._desk = Desk(
            SteadyTests(self._prometheus, options.metrics_server),
            TrafficCounter(self._prometheus, options.metrics_server, stores[SERVICE].list),
            PodKiller(shared.client),
            self._queue.add,
            shared.group,
            utc_now,
        )
        self._recorder = EventRecorder(shared.client, COMPONENT)
        self._observer = Observer(stores, self._desk, self._voucher, options.system_namespace)
        self._reconciler = Reconciler(
            self._observer,
            FencedWriter(Writer(shared.client, shared.cache), shared.territory),
            stores[CHAOS_REPORT],
            self._desk,
            self._voucher,
            self._recorder,
            ChaosMetrics(shared.registry),
            again=self._queue.add_after,
            clock=utc_now,
        )
        for store in stores.values():
            store.subscribe(self._changed)

    @property
    def routes(self) -> Mapping[str, Handler]:
        """Where experiments are validated."""

        async def handler(request: Object) -> AdmissionResponse:
            return await validate(request, self._options.system_namespace)

        return {PATH: handler}

    async def work(self) -> None:
        """Look at experiments until cancelled; then no fault of this process is left."""
        async with self._http as http, asyncio.TaskGroup() as group:
            self._desk.ask_by(
                Probes(
                    Sources(
                        client=self._client,
                        prometheus=self._prometheus,
                        http=http,
                        metrics_server=self._options.metrics_server,
                        load_of=self._desk.load_of,
                    )
                )
            )
            telling = group.create_task(self._recorder.run())
            try:
                async with asyncio.TaskGroup() as working:
                    working.create_task(self._voucher.run())
                    working.create_task(run_workers(self._queue, self._look, 1))
            finally:
                self._desk.close_all()
                await self._recorder.flush(_FLUSH_SECONDS)
                telling.cancel()
                self._prometheus.close()

    def moved(self) -> None:
        """Look at everything anew: some of it is ours now, and some no longer."""
        for key in self._observer.all_keys():
            if not self._territory.holds(key.namespace):
                self._reconciler.forget(key)
            self._queue.add(key)

    async def _look(self, key: Key) -> None:
        if not self._territory.holds(key.namespace):
            self._reconciler.forget(key)
        elif not await self._reconciler.reconcile(key):
            self._queue.add_backoff(key)
        else:
            self._queue.forget(key)

    def _changed(self, change: Change) -> None:
        for key in self._observer.looking_at(change):
            self._queue.add(key)


def watch(cache: Cache) -> Mapping[Kind, Store]:
    """A store for every kind that experiments need. None of them may hold up the process: chaos may not be installed."""
    return {
        CHAOS_EXPERIMENT: cache.watch(CHAOS_EXPERIMENT, optional=True, definitions=True),
        CHAOS_REPORT: cache.watch(CHAOS_REPORT, _metadata, optional=True, definitions=True),
        NAMESPACE: cache.watch(NAMESPACE, _metadata, optional=True),
        SERVICE: cache.watch(SERVICE, optional=True),
        CANARY: cache.watch(CANARY, optional=True),
    }


def _metadata(obj: Object) -> Object:
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    for name in list(obj):
        if name not in {"apiVersion", "kind", "metadata"}:
            del obj[name]
    return obj
