"""All that the control plane writes about users' objects, wired: statuses, events, Services of Gateways.

Every replica knows what is wrong at its own proxies and tells the others; the one that leads writes. Knows nothing of
how proxies are served.
"""

from __future__ import annotations

import asyncio

from rollout.api.kinds import VIRTUAL_SERVICE
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.events import EventRecorder
from rollout.kube.fence import FencedWriter
from rollout.kube.objects import Key
from rollout.kube.writer import Writer
from rollout.mesh.gatewaykeeper import GatewayKeeper
from rollout.mesh.hub import Hub
from rollout.mesh.ingest.references import dangling
from rollout.mesh.ingest.telemetry import untold
from rollout.mesh.ingresskeeper import IngressKeeper
from rollout.mesh.intake import Intake
from rollout.mesh.leading import Leading
from rollout.mesh.metrics import Metrics
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.reports import Reports
from rollout.mesh.status import KINDS, StatusKeeper


class Keepers:
    """Create it before the cache runs; `me` is this replica's pod, without a name where it is alone."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        intake: Intake,
        registry: Registry,
        hub: Hub,
        metrics: Metrics,
        leading: Leading,
        me: Key,
    ) -> None:
        self._feed, self._registry, self._metrics = intake.feed, registry, metrics
        writer = FencedWriter(Writer(client, cache), leading)
        self._reports = Reports(
            client, cache, me, hub.refusals, hub.unserved, intake.pods, self._trigger_writers
        )
        self._status = StatusKeeper(writer, intake.routing, self.problems)
        self._events = EventRecorder(client, "rollout-mesh")
        self._ingresses = IngressKeeper(
            writer,
            self._events,
            intake.ingresses,
            intake.services,
            me.namespace,
            mine=self._feed.ingresses.mine,
            problems=self.problems,
        )
        self._gateways = GatewayKeeper(
            writer,
            self._feed.gateway_api,
            intake.gateway_api,
            intake.services,
            me.namespace,
            cache,
            self._reports.refusals,
        )
        leading.follow(self._trigger_writers)

    def trigger(self) -> None:
        """Objects, or what is wrong with them, may have changed."""
        self._reports.trigger()
        self._trigger_writers()

    def _trigger_writers(self) -> None:
        self._status.trigger()
        self._ingresses.trigger()
        self._gateways.trigger()

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in (
                self._reports,
                self._status,
                self._ingresses,
                self._gateways,
                self._events,
            ):
                group.create_task(each.run())

    def problems(self) -> dict[Ref, tuple[Problem, ...]]:
        """Everything that is wrong with any routing object now."""
        found = dict(self._feed.problems)
        for more in (
            self._feed.conflicts(),
            dangling(self._registry),
            untold(self._registry),
            self._reports.refusals(),
            self._reports.unserved(),
        ):
            for ref, problems in more.items():
                found[ref] = found.get(ref, ()) + problems
        taken = (
            r for r, each in found.items() if any(p.field.startswith("spec.hosts[") for p in each)
        )
        self._metrics.duplicate_hosts.set(sum(ref.kind == VIRTUAL_SERVICE.kind for ref in taken))
        for kind in KINDS:
            self._metrics.problems.labels(kind).set(sum(ref.kind == kind for ref in found))
        return found
