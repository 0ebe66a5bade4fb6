"""ChaosExperiment (`chaos.rollout.dev/v1alpha1`): a hypothesis, what is broken to test it, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from rollout.api import kinds
from rollout.api.chaos.fault import Fault
from rollout.api.chaos.load import Load
from rollout.api.chaos.schedule import Schedule
from rollout.api.chaos.status import ExperimentStatus
from rollout.api.chaos.steadystate import AbortPolicy, SteadyState
from rollout.api.chaos.target import TOLD_UPSTREAM, BlastRadius, Target
from rollout.api.durations import Duration
from rollout.api.fields import AnyDuration, PositiveDuration
from rollout.api.model import Bool, Model, Problem, Resource, Str, refusal

ENABLED_LABEL: Final = "chaos.rollout.dev/enabled"
"""Label of a namespace that opts in, with the value `true`."""
PAUSE_ANNOTATION: Final = "chaos.rollout.dev/pause"
"""Annotation of an experiment whose fault is taken away while it says `true`."""
HALT_ANNOTATION: Final = "chaos.rollout.dev/halt"
"""Annotation of the controller's namespace: while it says `true`, every run is stopped and none begins."""
RUN_ANNOTATION: Final = "chaos.rollout.dev/run"
"""Annotation of an experiment: another value than that of the last run begins a run of a spec that ran already."""
LEASE_LABEL: Final = "chaos.rollout.dev/lease"
"""Label of the leases by which controllers vouch for running experiments, with the value `true`."""
ACTIVE_ANNOTATION: Final = "chaos.rollout.dev/active"
"""Annotation of such a lease: a JSON list of `namespace/name/runID`."""
FINALIZER: Final = "chaos.rollout.dev/recover"
"""Keeps an experiment until its fault is gone, for `recoverDeadline` at most."""

_LONGEST = timedelta(hours=24)


def _bounded(value: Duration) -> Duration:
    if not timedelta(seconds=1) <= value <= _LONGEST:
        raise refusal(f"{value.text} is not between 1s and 24h", "write it like 30s or 5m")
    return value


class ExperimentSpec(Model):
    """What the user wants."""

    hypothesis: Str = ""
    """What the experiment is to show, in one sentence."""
    target: Target
    """The service that it is about."""
    fault: Fault | None = None
    """What is broken; nothing where unset, which leaves load and probes."""
    blast_radius: BlastRadius = BlastRadius()
    """How much may be broken at once."""
    duration: Annotated[PositiveDuration, AfterValidator(_bounded)]
    """How long it stays broken, from 1s to 24h."""
    schedule: Schedule | None = None
    """Runs that begin by themselves; one run, at once, where unset."""
    load: Load | None = None
    """Requests that are sent meanwhile."""
    steady_state: SteadyState | None = None
    """What must stay true."""
    abort_policy: AbortPolicy = AbortPolicy()
    """What ends it early."""
    engine_state: Literal["active", "stop"] = "active"
    """`stop` ends the run, and none begins."""
    dry_run: Bool = False
    """Whether targets are resolved and the first probes asked, and nothing is broken."""
    recover_deadline: AnyDuration = Field(default_factory=lambda: Duration.parse("30s"))
    """Time after which a deletion goes on although the fault's end was not seen."""

    def problems(self) -> Iterator[Problem]:
        """Nothing to do, more than the blast radius allows, delays that outlive their experiment, load probes without load."""
        if self.fault is None and self.load is None and self.steady_state is None:
            yield Problem("fault", "is missing, and load and steadyState are too", "add one")
        if self.fault is not None:
            yield from self._too_much(self.fault)
            yield from self._untold(self.fault)
        if self.load is not None and (own := self.load.fortio.duration) and own > self.duration:
            yield Problem(
                "load.fortio.duration", f"{own.text} is longer than duration", "shorten it"
            )
        probes = self.steady_state.probes if self.steady_state else ()
        for index, probe in enumerate(probes):
            if probe.type == "fortio" and self.load is None:
                path = f"steadyState.probes[{index}]"
                yield Problem(path, "needs load, and there is none", "add load.fortio")

    def _untold(self, fault: Fault) -> Iterator[Problem]:
        """Callers where none are faulted, or whom the proxy of the service cannot tell apart: it knows what theirs tells it."""
        labels = self.target.from_.label_selectors if self.target.from_ else {}
        if self.target.from_ is not None and not fault.in_mesh:
            yield Problem("target.from", "means nothing for pods and certificates", "remove it")
        unknown = sorted(set(labels) - set(TOLD_UPSTREAM))
        if unknown and fault.in_mesh and fault.layer == "upstream":
            yield Problem(
                "target.from.labelSelectors",
                f"has {', '.join(unknown)}, which the service's proxies are not told of their callers",
                f"use {', '.join(TOLD_UPSTREAM)} or namespaces, or layer client",
            )

    def _too_much(self, fault: Fault) -> Iterator[Problem]:
        most, share = self.blast_radius.max_traffic_percent, fault.traffic_percent
        if share > most:
            yield Problem(
                "fault",
                f"hits up to {share:g} % of the requests, blastRadius.maxTrafficPercent is {most:g}",
                "lower its percentage.value, or raise the limit",
            )
        if fault.delay is not None and fault.delay.fixed_delay > self.duration:
            yield Problem(
                "fault.delay.fixedDelay",
                f"{fault.delay.fixed_delay.text} is longer than duration, which it would outlive",
                "shorten it",
            )


class ChaosExperiment(Resource):
    """A service, what is broken of it, what must stay true, and for how long."""

    KIND = kinds.CHAOS_EXPERIMENT

    spec: ExperimentSpec
    """What the user wants."""
    status: ExperimentStatus = Field(default_factory=ExperimentStatus)
    """What was observed and done."""

    @property
    def target_namespace(self) -> str:
        """The namespace of the service."""
        return self.spec.target.namespace or self.namespace

    @property
    def pauses(self) -> bool:
        """Whether its annotation asks for a pause."""
        return self.metadata.annotations.get(PAUSE_ANNOTATION) == "true"

    @property
    def vouched_as(self) -> str:
        """How a lease names the current run: `namespace/name/runID`."""
        return f"{self.namespace}/{self.name}/{self.status.run_id}"
