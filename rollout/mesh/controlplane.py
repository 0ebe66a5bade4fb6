"""The control plane's process: watches in, xDS out, problems onto statuses, and the injector's webhook beside them.

Nothing is served before all watches have been read: a proxy that comes earlier waits, and keeps what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from datetime import timedelta
from socket import gethostname

import structlog

from rollout.api.chaos import LEASE_LABEL
from rollout.api.kinds import CHAOS_EXPERIMENT, LEASE, VIRTUAL_SERVICE
from rollout.kube.admission import AdmissionServer
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.collector import sparing_what_stays
from rollout.kube.election import Contest
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import Key, Object
from rollout.kube.serving import health_app, serve
from rollout.kube.webhook_tls import WebhookNames, WebhookTLS
from rollout.mesh.debug.inquiries import Inquiries
from rollout.mesh.debug.pages import Pages
from rollout.mesh.debug.web import debug_app
from rollout.mesh.faultkeeper import FaultKeeper
from rollout.mesh.hub import Hub
from rollout.mesh.identity.authority import Lifetimes
from rollout.mesh.identity.caller import Caller
from rollout.mesh.identity.identities import Identities
from rollout.mesh.identity.keeper import SETTLE
from rollout.mesh.ingest.proxies import hosts
from rollout.mesh.ingest.telemetry import default_unreached
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.webhook import handlers
from rollout.mesh.intake import Intake
from rollout.mesh.keepers import Keepers
from rollout.mesh.leading import Leading
from rollout.mesh.metrics import Metrics
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import DOMAIN
from rollout.mesh.model.telemetry import MeshTelemetry
from rollout.mesh.pusher import Pusher
from rollout.mesh.xds.server import Server

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the process is told; without `injection` it injects nothing, which tests do.

    Secrets are read in `credential_namespaces` only, which are those of gateways. Where `discovery_selectors`
    (LabelSelectors) are given, namespaces that none of them selects are not looked at. With `on_demand`, sidecars are
    told clusters when they first need them. Without `allow_any`, nothing goes to hosts that nobody has declared. With
    `mutual_tls`, proxies get identities and configuration at `secure_address` by their tokens, and configuration at
    `certificate_address`, where one is given, by the certificates that they got. At `xds_address`, where one is given,
    whoever asks gets configuration. With a `contest`, of several replicas the one that holds its lease writes, and each
    tells by its `pod` what the others cannot see. After SIGTERM it goes on for `drain`, until nobody is led here any more.
    """

    kubeconfig: str | None = None
    context: str | None = None
    system_namespace: str = "rollout-system"
    credential_namespaces: tuple[str, ...] = ()
    discovery_selectors: tuple[Object, ...] = ()
    allow_any: bool = True
    on_demand: bool = False
    cluster_domain: str = DOMAIN
    injection: InjectionConfig | None = None
    mutual_tls: MutualTLS = MutualTLS.NONE
    secure_address: str = "[::]:15012"
    certificate_address: str = ""
    xds_address: str = ""
    root_settle: timedelta = SETTLE
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    contest: Contest | None = None
    pod: str = ""
    drain: timedelta = timedelta()
    telemetry: MeshTelemetry | None = None
    health_port: int = 15014
    debug_port: int = 8080
    webhook_port: int = 15017


class ControlPlane:
    """All parts, wired; tests run it on ports of their own."""

    def __init__(
        self,
        client: Client,
        options: Options,
        metrics: Metrics | None = None,
        leases: Client | None = None,
    ) -> None:
        self._options = options
        self.metrics = metrics or Metrics()
        self.cache = Cache(client, metrics=KubeMetrics(self.metrics.registry))
        self.registry = Registry(
            options.system_namespace,
            allow_any=options.allow_any,
            on_demand=options.on_demand,
            mutual_tls=options.mutual_tls,
            telemetry=options.telemetry,
        )
        self.registry.credential_namespaces = frozenset(options.credential_namespaces)
        self._intake = Intake(
            self.cache, self.registry, options.credential_namespaces, options.discovery_selectors
        )
        self._feed = self._intake.feed
        self.hub = Hub(self.registry, self._feed, self._intake.pods.get, self.metrics)
        self._pages = Pages(self.hub, self.registry)
        self._pusher = Pusher(self._push)
        self._intake.changed = self._pusher.trigger
        self._intake.pod_changed = self.hub.reintroduce
        self._leading = Leading(options.contest, leases or client, self.cache)
        self._keepers = Keepers(
            client,
            self.cache,
            self._intake,
            self.registry,
            self.hub,
            self.metrics,
            self._leading,
            Key(options.system_namespace, options.pod),
        )
        self.hub.on_rejections = self._keepers.trigger
        self._faults = FaultKeeper(self.hub)
        self._identities = self._make_identities(client)
        self._synced = self._serving = False
        self._untraced = ""
        self.port = self.secure_port = self.certificate_port = 0
        self._admission = self._admission_server(client)
        self._watch_experiments()

    @property
    def _dns_names(self) -> tuple[str, ...]:
        host = f"rollout-mesh.{self._options.system_namespace}.svc"
        return (host, f"{host}.{DOMAIN}")

    def _make_identities(self, client: Client) -> Identities | None:
        options = self._options
        if options.mutual_tls is MutualTLS.NONE:
            return None
        identities = Identities(
            client,
            self.cache,
            options.system_namespace,
            self._dns_names,
            self.metrics,
            self._leading,
            settle=options.root_settle,
            lifetimes=options.lifetimes,
            withheld=self._withheld,
        )
        self._leading.follow(identities.look)
        return identities

    def _withheld(self, caller: Caller) -> str:
        """The experiment that keeps certificates from a pod now; empty where none does."""
        namespace = caller.identity.namespace
        pod = self._intake.pods.get(namespace, caller.pod)
        return self._faults.withheld(hosts(namespace, pod, self.registry)) if pod else ""

    def _admission_server(self, client: Client) -> AdmissionServer | None:
        options = self._options
        if options.injection is None:
            return None
        names = WebhookNames(
            secret=Key(options.system_namespace, "rollout-mesh-webhook"),
            dns_names=self._dns_names,
            mutating=("rollout-sidecar-injector",),
        )
        tls = WebhookTLS(client, self.cache, names, territory=self._leading)
        self._leading.follow(tls.look)
        return AdmissionServer(tls, handlers(options.injection), port=options.webhook_port)

    def _watch_experiments(self) -> None:
        experiments = self.cache.watch(CHAOS_EXPERIMENT, optional=True)
        experiments.subscribe(self._faults.on_experiment)
        leases = self.cache.watch(
            LEASE,
            namespace=self._options.system_namespace,
            selector={"matchLabels": {LEASE_LABEL: "true"}},
        )
        leases.subscribe(self._faults.on_lease)

    def _push(self) -> None:
        if not self._synced:
            return
        with self.metrics.push_time.time():
            self.hub.push()
        self.metrics.services.set(len(self.registry.services))
        written = sum(ref.kind == VIRTUAL_SERVICE.kind for ref in self.registry.tables)
        self.metrics.virtual_services.set(written)
        self._say_whether_traced()
        self._keepers.trigger()

    def _say_whether_traced(self) -> None:
        """In the log, since the mesh's configuration has no status."""
        reason = default_unreached(self.registry)
        if reason and reason != self._untraced:
            log.warning("spans go nowhere where no Telemetry names a provider", reason=reason)
        self._untraced = reason

    def not_ready(self) -> str:
        """What is still missing, for `/readyz`."""
        if not self._synced:
            return "not synced: " + ", ".join(self.cache.unsynced())
        if self._admission is not None and not self._admission.ready:
            return "no webhook certificate yet"
        if self._identities is not None and not self._identities.ready.is_set():
            return "no certificate authority yet"
        return "" if self._serving else "not serving proxies yet"

    async def run(self) -> None:
        """Serves until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.cache.run())
            health = health_app(self.metrics.registry, self.not_ready)
            if self._options.health_port:
                group.create_task(serve(health, "0.0.0.0", self._options.health_port))  # noqa: S104
            if self._options.debug_port:
                debug = debug_app(self._pages, self._options.injection)
                group.create_task(serve(debug, "127.0.0.1", self._options.debug_port))
            if self._admission is not None:
                group.create_task(self._admission.run())
            if self._identities is not None:
                group.create_task(self._identities.run())
            await self.cache.synced()
            self._synced = True
            group.create_task(self._leading.run())
            self._push()
            with sparing_what_stays():
                await self._serve_proxies(group)

    async def _serve_proxies(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._pusher.run())
        group.create_task(self._keepers.run())
        servers: list[Server] = []
        if self._identities is not None:
            await self._identities.ready.wait()
            inquiries = Inquiries(self._pages, self._options.system_namespace, gethostname())
            door = self._identities.door()
            servers.append(Server(self.hub, door=door, inquiries=inquiries))
            self.secure_port = await servers[-1].start(self._options.secure_address)
            if self._options.certificate_address:
                door = self._identities.certificate_door()
                servers.append(Server(self.hub, door=door, inquiries=inquiries))
                self.certificate_port = await servers[-1].start(self._options.certificate_address)
        if self._options.xds_address:
            servers.append(Server(self.hub))
            self.port = await servers[-1].start(self._options.xds_address)
        self._serving = True
        services = len(self.registry.services)
        log.info("serving xDS", port=self.secure_port, plain_port=self.port, services=services)
        try:
            await asyncio.Event().wait()
        finally:
            for server in servers:
                await server.stop()


async def run(options: Options) -> None:
    """Runs the control plane until SIGTERM or SIGINT; ValueError for a cluster domain other than Istio's default."""
    if options.cluster_domain != DOMAIN:
        raise ValueError(f"cluster domain {options.cluster_domain!r}: the mesh knows {DOMAIN} only")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    where = (options.kubeconfig, options.context)
    # By its lease others learn that this process lives: it waits behind no other request.
    async with await Client.connect(*where) as client, await Client.connect(*where) as leases:
        task = asyncio.ensure_future(ControlPlane(client, options, leases=leases).run())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            log.info("stopping", seconds=options.drain.total_seconds())
            await asyncio.wait((task,), timeout=options.drain.total_seconds())
        stopping.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
