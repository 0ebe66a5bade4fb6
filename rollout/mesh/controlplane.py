"""The control plane's process: watches in, xDS out, problems onto statuses, and the injector's webhook beside them.

Nothing is served before all watches have been read: a proxy that comes earlier waits, and keeps what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from rollout.api.chaos import LEASE_LABEL
from rollout.api.kinds import CHAOS_EXPERIMENT, LEASE, VIRTUAL_SERVICE
from rollout.kube.admission import AdmissionServer
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.collector import sparing_what_stays
from rollout.kube.events import EventRecorder
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import Key, Object
from rollout.kube.serving import health_app, serve
from rollout.kube.webhook_tls import WebhookNames, WebhookTLS
from rollout.kube.writer import Writer
from rollout.mesh.debug import debug_app
from rollout.mesh.faultkeeper import FaultKeeper
from rollout.mesh.gatewaykeeper import GatewayKeeper
from rollout.mesh.hub import Hub
from rollout.mesh.identity.authority import Lifetimes
from rollout.mesh.identity.caller import Caller
from rollout.mesh.identity.identities import Identities
from rollout.mesh.identity.keeper import SETTLE
from rollout.mesh.ingest.proxies import hosts
from rollout.mesh.ingest.references import dangling
from rollout.mesh.ingest.telemetry import default_unreached, untold
from rollout.mesh.ingresskeeper import IngressKeeper
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.webhook import handlers
from rollout.mesh.intake import Intake
from rollout.mesh.metrics import Metrics
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import DOMAIN
from rollout.mesh.model.telemetry import MeshTelemetry
from rollout.mesh.pusher import Pusher
from rollout.mesh.status import KINDS, StatusKeeper
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
    whoever asks gets configuration.
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
    telemetry: MeshTelemetry | None = None
    health_port: int = 15014
    debug_port: int = 8080
    webhook_port: int = 15017


class ControlPlane:
    """All parts, wired; tests run it on ports of their own."""

    def __init__(self, client: Client, options: Options, metrics: Metrics | None = None) -> None:
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
        self._pusher = Pusher(self._push)
        self._intake.changed = self._pusher.trigger
        self._intake.pod_changed = self.hub.reintroduce
        writer = Writer(client, self.cache)
        self._status = StatusKeeper(writer, self._intake.routing, self.problems)
        self._events = EventRecorder(client, "rollout-mesh")
        self._ingresses = IngressKeeper(
            writer,
            self._events,
            self._intake.ingresses,
            self._intake.services,
            options.system_namespace,
            mine=self._feed.ingresses.mine,
            problems=self.problems,
        )
        self._gateways = GatewayKeeper(
            writer,
            self._feed.gateway_api,
            self._intake.gateway_api,
            self._intake.services,
            options.system_namespace,
            self.cache,
            self.hub.refusals,
        )
        self.hub.on_rejections = self._trigger_statuses
        self._faults = FaultKeeper(self.hub)
        self._identities = self._make_identities(client)
        self._synced = False
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
        return Identities(
            client,
            self.cache,
            options.system_namespace,
            self._dns_names,
            self.metrics,
            settle=options.root_settle,
            lifetimes=options.lifetimes,
            withheld=self._withheld,
        )

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
        tls = WebhookTLS(client, self.cache, names)
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
        self._trigger_statuses()

    def _say_whether_traced(self) -> None:
        """In the log, since the mesh's configuration has no status."""
        reason = default_unreached(self.registry)
        if reason and reason != self._untraced:
            log.warning("spans go nowhere where no Telemetry names a provider", reason=reason)
        self._untraced = reason

    def _trigger_statuses(self) -> None:
        self._status.trigger()
        self._ingresses.trigger()
        self._gateways.trigger()

    def problems(self) -> dict[Ref, tuple[Problem, ...]]:
        """Everything that is wrong with any routing object now."""
        found = dict(self._feed.problems)
        for more in (
            self._feed.conflicts(),
            dangling(self.registry),
            untold(self.registry),
            self.hub.refusals(),
            self.hub.unserved(),
        ):
            for ref, problems in more.items():
                found[ref] = found.get(ref, ()) + problems
        taken = (
            r for r, each in found.items() if any(p.field.startswith("spec.hosts[") for p in each)
        )
        self.metrics.duplicate_hosts.set(sum(ref.kind == "VirtualService" for ref in taken))
        for kind in KINDS:
            self.metrics.problems.labels(kind).set(sum(ref.kind == kind for ref in found))
        return found

    def not_ready(self) -> str:
        """What is still missing, for `/readyz`."""
        if not self._synced:
            return "not synced: " + ", ".join(self.cache.unsynced())
        if self._admission is not None and not self._admission.ready:
            return "no webhook certificate yet"
        if self._identities is not None and not self._identities.ready.is_set():
            return "no certificate authority yet"
        return ""

    async def run(self) -> None:
        """Serves until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.cache.run())
            health = health_app(self.metrics.registry, self.not_ready)
            if self._options.health_port:
                group.create_task(serve(health, "0.0.0.0", self._options.health_port))  # noqa: S104
            if self._options.debug_port:
                debug = debug_app(self.hub, self.registry, self._options.injection)
                group.create_task(serve(debug, "127.0.0.1", self._options.debug_port))
            if self._admission is not None:
                group.create_task(self._admission.run())
            if self._identities is not None:
                group.create_task(self._identities.run())
            await self.cache.synced()
            self._synced = True
            self._push()
            with sparing_what_stays():
                await self._serve_proxies(group)

    async def _serve_proxies(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._pusher.run())
        group.create_task(self._status.run())
        group.create_task(self._ingresses.run())
        group.create_task(self._gateways.run())
        group.create_task(self._events.run())
        servers: list[Server] = []
        if self._identities is not None:
            await self._identities.ready.wait()
            servers.append(Server(self.hub, door=self._identities.door()))
            self.secure_port = await servers[-1].start(self._options.secure_address)
            if self._options.certificate_address:
                servers.append(Server(self.hub, door=self._identities.certificate_door()))
                self.certificate_port = await servers[-1].start(self._options.certificate_address)
        if self._options.xds_address:
            servers.append(Server(self.hub))
            self.port = await servers[-1].start(self._options.xds_address)
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
    loop = asyncio.get_running_loop()
    async with await Client.connect(options.kubeconfig, options.context) as client:
        task = asyncio.ensure_future(ControlPlane(client, options).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task
