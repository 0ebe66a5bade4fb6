"""Tells, when a canary begins, whether the servers that will judge it can be reached. Only an event: it holds nothing up.

Knows where checks are made; not what they are.
"""

from __future__ import annotations

import asyncio

from rollout.api.canary import Canary
from rollout.api.metrictemplate import MetricTemplate
from rollout.delivery.act import Tells
from rollout.delivery.checking import source_of
from rollout.delivery.reconcile import Evidence
from rollout.delivery.refusals import SYNCED
from rollout.delivery.snapshot import Snapshot
from rollout.kube.objects import Key


class Probe:
    """Runs in the background, in the process' own group of tasks."""

    def __init__(
        self,
        evidence: Evidence,
        recorder: Tells,
        group: asyncio.TaskGroup,
        running: set[asyncio.Task[None]],
    ) -> None:
        self._evidence, self._recorder = evidence, recorder
        self._group, self._running = group, running

    def start(self, seen: Snapshot) -> None:
        """Begin, and answer at once."""
        task = self._group.create_task(self.tell(seen))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def tell(self, seen: Snapshot) -> None:
        """Ask, and record what came of it."""
        if not isinstance(seen.canary, Canary) or not seen.canary.spec.analysis.metrics:
            return
        reason = await self._first_problem(seen, seen.canary)
        if not reason:
            message = "all the metrics providers are available!"
            self._recorder.emit(seen.obj, "Normal", SYNCED, message)
        else:
            message = f"Error checking metric providers: {reason}"
            self._recorder.emit(seen.obj, "Warning", SYNCED, message)

    async def _first_problem(self, seen: Snapshot, canary: Canary) -> str:
        metrics = canary.spec.analysis.metrics
        if any(metric.builtin or metric.query for metric in metrics):
            address = canary.spec.metrics_server or seen.settings.metrics_server
            if failed := await self._evidence.online(address):
                return failed.reason
        for metric in metrics:
            if metric.template_ref is None:
                continue
            key = Key(metric.template_ref.namespace or canary.namespace, metric.template_ref.name)
            found = seen.templates.get(key)
            if not isinstance(found, MetricTemplate):
                return f"there is no MetricTemplate {key}" if found is None else str(found)
            if failed := await self._evidence.configured(source_of(found, metric.window)):
                return failed.reason
        return ""
