"""Tells, when a canary begins, whether the servers that will judge it can be reached. Only an event: it holds nothing up.

Knows where checks are made; not what they are.
"""

from __future__ import annotations

import asyncio

from rollout.api.canary import Canary
from rollout.delivery.act import Tells
from rollout.delivery.reconcile import Evidence
from rollout.delivery.refusals import SYNCED
from rollout.delivery.snapshot import Snapshot


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
        address = seen.canary.spec.metrics_server or seen.settings.metrics_server
        failed = await self._evidence.online(address)
        if failed is None:
            message = "all the metrics providers are available!"
            self._recorder.emit(seen.obj, "Normal", SYNCED, message)
        else:
            message = f"Error checking metric providers: {failed.reason}"
            self._recorder.emit(seen.obj, "Warning", SYNCED, message)
