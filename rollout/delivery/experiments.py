"""What a canary must know of ChaosExperiments: which of them break its service, and what became of those it asked for.

Pure: reads objects, and knows nothing of how an experiment is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from rollout.api.chaos import RUN_ANNOTATION, ExperimentStatus, Phase, Verdict
from rollout.judge.trials import Observation, Observed, Source
from rollout.kube.objects import Key, Object, annotations_of, key_of

_LATE = {Source.PROMETHEUS: timedelta(seconds=15)}
"""How long after a fault what is looked at may still tell of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A ChaosExperiment, as far as canaries go. `began` and `ended` are those of the last fault; None where it has not."""

    key: Key
    namespace: str
    service: str
    arm: str
    asked: str
    answered: str
    phase: Phase
    verdict: Verdict
    reason: str
    began: datetime | None
    ended: datetime | None

    @classmethod
    def of(cls, obj: Object) -> Experiment:
        """Read one, whatever is written in it."""
        try:
            status = ExperimentStatus.model_validate(obj.get("status") or {})
        except ValidationError:
            status = ExperimentStatus()
        namespace, service, arm = target_of(obj)
        return cls(
            key=key_of(obj),
            namespace=namespace,
            service=service,
            arm=arm,
            asked=annotations_of(obj).get(RUN_ANNOTATION, ""),
            answered=status.run_request,
            phase=status.phase,
            verdict=status.verdict,
            reason=status.reason,
            began=status.injected_at,
            ended=status.recovered_at,
        )

    @property
    def breaks(self) -> bool:
        """Whether its fault may be in force now."""
        return self.phase.is_active and self.began is not None

    def touches(self, at: datetime, late: timedelta) -> bool:
        """Whether its last fault was in force then, or not longer ago than `late`."""
        if self.began is None or at < self.began:
            return False
        return self.breaks or (self.ended is not None and at <= self.ended + late)


def target_of(obj: Object) -> tuple[str, str, str]:
    """Namespace, service and arm, as written; nothing may be assumed of what is written."""
    spec = obj.get("spec")
    target = spec.get("target") if isinstance(spec, dict) else None
    target = target if isinstance(target, dict) else {}
    namespace = target.get("namespace") or obj["metadata"]["namespace"]
    return str(namespace), str(target.get("service") or ""), str(target.get("arm") or "all")


def undisturbed(observed: Observed, faults: Iterable[Experiment]) -> Observed:
    """What was seen, without what was seen under somebody else's fault."""
    faults = tuple(faults)

    def counts(look: Observation) -> bool:
        late = _LATE.get(look.source, timedelta())
        return not any(fault.touches(look.at, late) for fault in faults)

    return replace(observed, looks=tuple(filter(counts, observed.looks))) if faults else observed
