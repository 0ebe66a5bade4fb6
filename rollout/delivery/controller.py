"""The delivery controller's process: what is watched, who works, what is served, and how it ends.

Wires the rooms together and decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from rollout.api.kinds import (
    ALERT_PROVIDER,
    CANARY,
    SECRET,
)
from rollout.delivery.act import Actor
from rollout.delivery.alerts.sender import AlertSender
from rollout.delivery.hooks.caller import HookCaller, HookDesk
from rollout.delivery.hooks.events import EventHooks
from rollout.delivery.judging.desk import JudgeDesk
from rollout.delivery.judging.pods import ArmPods
from rollout.delivery.leadership import Leadership
from rollout.delivery.metrics import DeliveryMetrics
from rollout.delivery.observe import Observer
from rollout.delivery.options import SERVICE_NAME, Options
from rollout.delivery.pods import PodReader
from rollout.delivery.probe import Probe
from rollout.delivery.reconcile import Reconciler, utc_now
from rollout.delivery.secrets import SecretReader
from rollout.delivery.watched import watch
from rollout.delivery.webhook import validate
from rollout.http.client import HttpClient
from rollout.judge.evidence.counters import CounterSource
from rollout.judge.evidence.live import Watch
from rollout.judge.evidence.providers.setup import World
from rollout.judge.evidence.providers.tokens import Tokens
from rollout.judge.evidence.proxies import ProxyReader
from rollout.judge.evidence.sources import Sources
from rollout.judge.trials import Trial
from rollout.kube.admission import AdmissionServer, Handler
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.collector import sparing_what_stays
from rollout.kube.companion import Companion, Join, Shared
from rollout.kube.events import EventRecorder
from rollout.kube.fence import Everywhere, FencedWriter, Territory
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import Key
from rollout.kube.queue import WorkQueue, run_workers
from rollout.kube.serving import health_app, serve
from rollout.kube.store import Change, Store
from rollout.kube.webhook_tls import WebhookNames, WebhookTLS
from rollout.kube.writer import Writer

log = structlog.get_logger(__name__)

COMPONENT = "flagger"
"""The name under which events appear: those who look for Flagger's find them."""
_WORKERS = 256
"""Looks at a time: most of one is waiting, for Prometheus or until proxies heard of new routes, and must not hold up others."""
_LONGEST_BACKOFF_SECONDS = 10.0
_FLUSH_SECONDS = 3.0
_MOST_HOOKS_AT_ONCE = 1000
_LEASE_REQUESTS_AT_ONCE = 4
_MOST_PROXIES_AT_ONCE = 200


async def run(
    options: Options, stop: asyncio.Event | None = None, beside: Sequence[Join] = ()
) -> None:
    """Deliver until SIGTERM, SIGINT or `stop`; then end the looks under way and write the events that wait.

    `beside` are other reconcilers that share the process, its watches and its leases.
    """
    if options.cluster_name:
        structlog.contextvars.bind_contextvars(cluster=options.cluster_name)
    with sparing_what_stays():
        await _deliver(options, stop or _stopped_by_signals(), beside)


async def _deliver(options: Options, stop: asyncio.Event, beside: Sequence[Join]) -> None:
    registry = CollectorRegistry()
    kube_metrics = KubeMetrics(registry)
    async with (
        await Client.connect(options.kubeconfig, metrics=kube_metrics) as client,
        await Client.connect(
            options.kubeconfig, metrics=kube_metrics, pool_size=_LEASE_REQUESTS_AT_ONCE
        ) as leases,
        HttpClient() as http,
        HttpClient(_MOST_HOOKS_AT_ONCE) as hooks_http,
        HttpClient(_MOST_PROXIES_AT_ONCE) as proxies_http,
    ):
        cache = Cache(client, options.namespace or None, metrics=kube_metrics)
        recorder = EventRecorder(client, COMPONENT, metrics=kube_metrics)
        async with asyncio.TaskGroup() as group:
            delivery = _Delivery(
                options,
                client,
                leases,
                (http, hooks_http, proxies_http),
                cache,
                recorder,
                registry,
                group,
                beside,
            )
            tasks = [
                group.create_task(work)
                for work in (cache.run(), recorder.run(), *delivery.servers())
            ]
            # Writes under way end before another may begin; only then are looks cut off.
            working = [
                group.create_task(work)
                for work in (*delivery.companions(), delivery.lead(), delivery.work())
            ]
            await stop.wait()
            log.info("stopping")
            for task in working:
                task.cancel()
                await asyncio.wait([task])
            await recorder.flush(_FLUSH_SECONDS)
            await delivery.close(_FLUSH_SECONDS)
            for task in (*tasks, *delivery.background):
                task.cancel()
        delivery.prometheus.close()


class _Delivery:
    """The parts of one process, made before anything runs."""

    def __init__(
        self,
        options: Options,
        client: Client,
        leases: Client,
        https: tuple[HttpClient, HttpClient, HttpClient],
        cache: Cache,
        recorder: EventRecorder,
        registry: CollectorRegistry,
        group: asyncio.TaskGroup,
        beside: Sequence[Join],
    ) -> None:
        self._options, self._client, self._leases, self._cache = options, client, leases, cache
        self._registry = registry
        self._ready = asyncio.Event()
        self._queue: WorkQueue[Key] = WorkQueue(cap=_LONGEST_BACKOFF_SECONDS)
        self.background: set[asyncio.Task[None]] = set()
        self.prometheus = CounterSource()
        stores = watch(cache, options.settings)
        self._observer = Observer(stores, options.settings)
        for store in stores.values():
            store.subscribe(self._changed)
        # Hooks may take minutes to answer; metrics must not wait for a place behind them.
        http, hooks_http, proxies_http = https
        secrets = SecretReader(client, stores[SECRET] if options.enable_config_tracking else None)
        self._hooks = HookDesk(HookCaller(hooks_http, secrets), self._queue.add, group)
        self._alerts = AlertSender(
            hooks_http,
            secrets,
            stores[ALERT_PROVIDER].get,
            group,
            chats=options.chats,
            cluster=options.cluster_name,
            own_namespace_only=options.no_cross_namespace_refs,
        )
        tells = EventHooks(recorder, self._hooks.tell, utc_now, everywhere=options.event_webhook)
        self._leadership = self._compete(stores[CANARY])
        self._territory: Territory = self._leadership or Everywhere()
        shared = Shared(
            client=client,
            leases=leases,
            cache=cache,
            registry=registry,
            territory=self._territory,
            group=group,
        )
        self._companions: list[Companion] = [join(shared) for join in beside]
        self._webhook = self._make_webhook() if options.webhook_port else None
        writer = FencedWriter(Writer(client, cache), self._territory)
        world = World(http=http, tokens=Tokens(), now=utc_now, environment=os.environ, kube=client)
        evidence = Sources(self.prometheus, secrets, world)
        proxies = ProxyReader(proxies_http)

        def watch_trial(trial: Trial, after: datetime) -> Watch:
            pods = ArmPods(client).of
            return Watch(trial, pods, proxies, self.prometheus, evidence, after)

        self._trials = JudgeDesk(watch_trial, self._queue.add, group, utc_now)
        self._reconciler = Reconciler(
            self._observer,
            Actor(writer, stores, tells),
            evidence,
            DeliveryMetrics(registry, options.mesh_provider),
            again=self._queue.add_after,
            probe=Probe(evidence, tells, group, self.background).start,
            hooks=self._hooks,
            alert=self._alerts.send,
            pods=PodReader(client).of,
            trials=self._trials,
        )

    def servers(self) -> list[Coroutine[Any, Any, None]]:
        """What is served: health and metrics, and the webhook."""
        found: list[Coroutine[Any, Any, None]] = []
        if self._options.port:
            app = health_app(self._registry, self._missing)
            found.append(serve(app, "0.0.0.0", self._options.port))  # noqa: S104 - a pod's server
        if self._webhook is not None:
            found.append(self._webhook.run())
        return found

    def companions(self) -> list[Coroutine[Any, Any, None]]:
        """The work of those that share the process."""
        return [self._accompany(each) for each in self._companions]

    async def _accompany(self, companion: Companion) -> None:
        await self._ready.wait()
        await companion.work()

    async def lead(self) -> None:
        """Compete for what is to be looked at, where there are competitors."""
        await self._ready.wait()
        if self._leadership is not None:
            await self._leadership.run()

    async def work(self) -> None:
        """Look at canaries, once everything that a look reads is there."""
        while not self._ready.is_set():
            try:
                await self._cache.synced(30)
                self._ready.set()
            except TimeoutError as error:
                log.warning("waiting for the API server", error=str(error))
        log.info("delivering", namespace=self._options.namespace or "all")
        await run_workers(self._queue, self._look, _WORKERS)

    async def close(self, seconds: float) -> None:
        """Let alerts and event hooks that are under way end, for a while; give up everything else."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._alerts.idle()
                await self._hooks.idle()
        self._alerts.close()
        self._hooks.close()
        self._trials.close()

    async def _look(self, key: Key) -> None:
        if self._territory.holds(key.namespace) and not await self._reconciler.reconcile(key):
            self._queue.add_backoff(key)

    def _changed(self, change: Change) -> None:
        for key in self._observer.looking_at(change):
            self._queue.add(key)

    def _missing(self) -> str:
        if not self._ready.is_set():
            return "not synced yet: " + ", ".join(self._cache.unsynced())
        if self._webhook is not None and not self._webhook.ready:
            return "the webhook has no certificate yet"
        return ""

    def _forget(self, key: Key) -> None:
        self._reconciler.forget(key)

    def _moved(self) -> None:
        for each in self._companions:
            each.moved()

    def _compete(self, canaries: Store) -> Leadership | None:
        contest = self._options.contest
        if contest is None:
            return None
        return Leadership(
            contest,
            self._leases,
            self._cache,
            self._options.namespace or None,
            canaries,
            self._queue,
            self._forget,
            self._moved,
        )

    def _make_webhook(self) -> AdmissionServer:
        namespace = self._options.system_namespace
        names = WebhookNames(
            secret=Key(namespace, f"{SERVICE_NAME}-webhook"),
            dns_names=(f"{SERVICE_NAME}.{namespace}.svc", f"{SERVICE_NAME}.{namespace}"),
            mutating=(SERVICE_NAME,),
        )
        tls = WebhookTLS(self._client, self._cache, names)
        minimum, provider = self._options.minimum_interval, self._options.mesh_provider
        routes: dict[str, Handler] = {
            "/validate": lambda request: validate(request, minimum, provider)
        }
        for each in self._companions:
            routes.update(each.routes)
        return AdmissionServer(
            tls,
            routes,
            port=self._options.webhook_port,
        )


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
