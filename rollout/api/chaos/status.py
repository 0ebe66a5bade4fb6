"""An experiment's status: all progress that is kept between two looks, and what `kubectl get chaos` shows."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from rollout.api.canary.status import Condition
from rollout.api.model import Int, Model, Number


class Phase(StrEnum):
    """Where an experiment is in its run."""

    PENDING = "Pending"
    CHECKING = "CheckingSteadyState"
    INJECTING = "Injecting"
    RUNNING = "Running"
    RECOVERING = "Recovering"
    COMPLETED = "Completed"
    ABORTED = "Aborted"
    ERROR = "Error"

    @property
    def is_faulted(self) -> bool:
        """Whether the fault may be in force: from before the first proxy has it until it is taken away."""
        return self in {Phase.INJECTING, Phase.RUNNING}

    @property
    def is_over(self) -> bool:
        """Whether the run is over."""
        return self in {Phase.COMPLETED, Phase.ABORTED, Phase.ERROR}

    @property
    def is_active(self) -> bool:
        """Whether the run has begun and is not over."""
        return self is not Phase.PENDING and not self.is_over


class Verdict(StrEnum):
    """What a run showed, in Litmus' words."""

    AWAITED = "Awaited"
    PASS = "Pass"  # noqa: S105 - a verdict
    FAIL = "Fail"
    STOPPED = "Stopped"
    ERROR = "Error"


class Blast(Model):
    """What was hit."""

    requests_faulted: Int = 0
    """Requests that a proxy said it had faulted."""
    traffic_percent: Number = 0.0
    """Their share of all requests to the target since the injection."""
    certificates_refused: Int = 0
    """Certificates that the target's pods asked for and did not get."""
    pods_killed: tuple[str, ...] = ()
    """Pods that were evicted."""

    @property
    def others(self) -> str:
        """What was hit besides requests, in words, each after a semicolon."""
        text = f"; {self.certificates_refused} certificates" if self.certificates_refused else ""
        return text + (f"; evicted {', '.join(self.pods_killed)}" if self.pods_killed else "")


class ProbeStatus(Model):
    """One probe's outcome."""

    name: str
    """Its name."""
    mode: str
    """When it is asked."""
    verdict: str
    """Passed, Failed, NoData, Error or Awaited."""
    value: str | None = None
    """The last value."""
    description: str = ""
    """The last answer as a sentence."""


class History(Model):
    """How the runs ended."""

    passed_runs: Int = 0
    """Verdict Pass."""
    failed_runs: Int = 0
    """Verdict Fail."""
    stopped_runs: Int = 0
    """Verdict Stopped."""
    error_runs: Int = 0
    """Verdict Error."""


class ExperimentStatus(Model):
    """What was observed and done; unknown keys are kept."""

    phase: Phase = Phase.PENDING
    """Where the run is."""
    verdict: Verdict = Verdict.AWAITED
    """What the run showed."""
    run_id: str | None = Field(default=None, alias="runID")
    """The run, one of a kind; proxies' faults are vouched for by it."""
    run_generation: Int = 0
    """Generation of the spec that the run began with."""
    run_request: str = ""
    """Value of the annotation `chaos.rollout.dev/run` that the run began with."""
    observed_generation: Int = 0
    """Generation of the spec that was last seen."""
    conditions: tuple[Condition, ...] = ()
    """Selected, AllInjected, AllRecovered and Paused."""
    started_at: datetime | None = None
    """When the run began."""
    injected_at: datetime | None = None
    """When the fault was given out."""
    expires_at: datetime | None = None
    """When it ends, whatever happens; proxies are not given it after that."""
    recovering_at: datetime | None = None
    """When it was taken away."""
    recovered_at: datetime | None = None
    """When the run was over and nothing of the fault was left."""
    outcome: Verdict | None = None
    """The verdict that a run that is recovering ends with, where it is settled already."""
    blast: Blast = Blast()
    """What was hit."""
    probe_statuses: tuple[ProbeStatus, ...] = ()
    """The probes' outcomes."""
    probe_success_percentage: Int | None = None
    """Share of the probes asked that passed."""
    reason: str = ""
    """Why it is so, in one sentence."""
    fault: str = ""
    """The fault, for a column."""
    remaining: str = ""
    """Time until the fault ends, coarse, for a column."""
    history: History = History()
    """How the runs ended."""
    last_schedule_time: datetime | None = None
    """The scheduled time that the last run was for."""
    next_schedule_time: datetime | None = None
    """When the next run is due."""
    report: str | None = None
    """Name of the last run's ChaosReport."""

    def condition(self, type_: str) -> Condition | None:
        """The condition of this type, if it is set."""
        return next((found for found in self.conditions if found.type == type_), None)
