"""One look at one experiment: observe, decide, act. The only place where chaos' pure part meets the clock and the world.

Writes come first, and the status last of them: nothing is broken, asked or sent that is not written down. Whatever is
not taken is decided anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from rollout.api.chaos import EXPERIMENT_LABEL, FINALIZER, ChaosExperiment
from rollout.api.kinds import CHAOS_EXPERIMENT, CHAOS_REPORT
from rollout.chaos.decide import decide
from rollout.chaos.desk import Desk
from rollout.chaos.metrics import ChaosMetrics
from rollout.chaos.observe import Observer
from rollout.chaos.plan.journal import label
from rollout.chaos.plan.snapshot import Decision, Snapshot
from rollout.chaos.vouching import Voucher
from rollout.kube.errors import Conflict, Invalid, KubeError
from rollout.kube.events import EventRecorder
from rollout.kube.fence import FencedWriter
from rollout.kube.objects import Key, Object, labels_of
from rollout.kube.store import Store

log = structlog.get_logger(__name__)


class Reconciler:
    """Looks at experiments; `again` is asked to look at one later."""

    def __init__(
        self,
        observer: Observer,
        writer: FencedWriter,
        reports: Store,
        desk: Desk,
        voucher: Voucher,
        recorder: EventRecorder,
        metrics: ChaosMetrics,
        *,
        again: Callable[[Key, timedelta], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._observer, self._writer, self._reports = observer, writer, reports
        self._desk, self._voucher, self._recorder = desk, voucher, recorder
        self._metrics, self._again, self._clock = metrics, again, clock

    async def reconcile(self, key: Key) -> bool:
        """One look. False asks the caller to look again after a back-off."""
        seen = self._observer.snapshot(key)
        if seen is None:
            self.forget(key)
            return True
        decision = decide(seen, self._clock())
        if not decision.vouches:
            self._voucher.drop(key)
        try:
            await self._write(seen, decision)
        except KubeError as error:
            known = isinstance(error, Conflict)
            (log.debug if known else log.warning)(
                "chaos write not taken", experiment=str(key), error=str(error)
            )
            return False
        self._begin(key, seen, decision)
        self._tell(seen, decision)
        self._metrics.looked(key, seen, decision)
        if decision.wake is not None:
            self._again(key, max(decision.wake - self._clock(), timedelta(milliseconds=10)))
        return True

    def forget(self, key: Key) -> None:
        """The experiment is gone, or another's to look at: its fault ends here."""
        self._voucher.drop(key)
        self._desk.close(key)
        self._metrics.gone(key)

    async def _write(self, seen: Snapshot, decision: Decision) -> None:
        obj = seen.obj
        if decision.guard is True and not seen.guarded:
            obj = await self._guard(obj, guarded=True)
        if decision.report is not None:
            await self._report(decision.report)
            await self._prune(decision.report, decision.prune)
        if decision.status != seen.status:
            status = decision.status.model_dump(mode="json", by_alias=True, exclude_none=True)
            obj = await self._writer.patch_status(CHAOS_EXPERIMENT, obj, status)
        if decision.guard is False and seen.guarded:
            await self._guard(obj, guarded=False)

    async def _guard(self, obj: Object, *, guarded: bool) -> Object:
        metadata = obj["metadata"]
        others = [each for each in metadata.get("finalizers") or () if each != FINALIZER]
        desired = {
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [*others, FINALIZER] if guarded else others,
            }
        }
        return await self._writer.apply(CHAOS_EXPERIMENT, desired, obj, ("metadata.finalizers",))

    async def _report(self, report: Object) -> None:
        known = self._reports.get(report["metadata"]["namespace"], report["metadata"]["name"])
        if known is not None:
            return
        try:
            await self._writer.apply(CHAOS_REPORT, report, None)
        except Invalid as error:
            # A process that was killed here wrote it already, and it is never changed; or it is too large.
            log.warning("report not written", report=report["metadata"]["name"], error=str(error))

    async def _prune(self, report: Object, keep: int | None) -> None:
        name = labels_of(report)[EXPERIMENT_LABEL]
        mine = [
            each
            for each in self._reports.list(report["metadata"]["namespace"])
            if labels_of(each).get(EXPERIMENT_LABEL) == label(name)
        ]
        mine.sort(key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)
        for old in mine[max(keep or 0, 1) :]:
            await self._writer.delete(CHAOS_REPORT, old)

    def _begin(self, key: Key, seen: Snapshot, decision: Decision) -> None:
        """What was decided, now that it is written down."""
        experiment, status = seen.experiment, decision.status
        if decision.closes or not isinstance(experiment, ChaosExperiment):
            self._desk.close(key)
            return
        experiment = experiment.model_copy(update={"status": status})
        if decision.opens and status.run_id is not None:
            self._desk.open(key, status.run_id)
        if decision.vouches and status.expires_at is not None:
            self._voucher.vouch(key, experiment.vouched_as, status.expires_at)
        for ask in decision.asks:
            self._desk.ask(key, experiment, ask)
        if decision.starts_load:
            self._desk.send(key, experiment, self._observer.url(experiment))
        if decision.stops_load:
            self._desk.stop_load(key)
        if decision.counts_traffic:
            self._desk.count(key, experiment)
        fault = experiment.spec.fault
        if decision.kills and fault is not None and fault.pod_kill is not None:
            self._desk.kill(key, experiment, fault.pod_kill)

    def _tell(self, seen: Snapshot, decision: Decision) -> None:
        target = None
        if isinstance(seen.experiment, ChaosExperiment):
            target = self._observer.target(seen.experiment)
        for event in decision.events:
            self._recorder.emit(seen.obj, event.type, event.reason, event.message)
            if target is not None:
                name = f"{seen.experiment.namespace}/{seen.experiment.name}"
                message = f"ChaosExperiment {name}: {event.message}"
                self._recorder.emit(target, event.type, event.reason, message)
