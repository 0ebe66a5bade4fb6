"""A canary's status: all progress that is kept between two looks. Read leniently, since Flagger may have written it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from rollout.api.model import Bool, Int, Model


class Phase(StrEnum):
    """Where a canary is in its life, in Flagger's words."""

    NONE = ""
    INITIALIZING = "Initializing"
    INITIALIZED = "Initialized"
    WAITING = "Waiting"
    PROGRESSING = "Progressing"
    WAITING_PROMOTION = "WaitingPromotion"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"


class Condition(Model):
    """One thing that is true, false or unknown of the canary."""

    type: str
    """What it is about."""
    status: str
    """True, False or Unknown."""
    reason: str
    """Why, in one word."""
    message: str = ""
    """Why, in a sentence."""
    last_update_time: datetime | None = None
    """When it was last written."""
    last_transition_time: datetime | None = None
    """When its status last changed."""


class CheckRecord(Model):
    """One check of a step."""

    metric: str
    """The metric's name."""
    verdict: str
    """Passed, Failed, NoData or Error."""
    value: str | None = None
    """What was measured."""
    threshold: str | None = None
    """Within which bounds it had to be."""
    message: str | None = None
    """What was wrong."""


class StepRecord(Model):
    """One step that was judged."""

    time: datetime
    """When."""
    revision: str
    """The target's revision."""
    weight: Int = 0
    """The canary's share of the requests then, in percent."""
    advanced: bool = False
    """Whether the canary went on."""
    checks: tuple[CheckRecord, ...] = ()
    """What was measured."""


class RunRecord(Model):
    """One rollout of a revision."""

    revision: str
    """The target's revision."""
    phase: str
    """How it ended, or where it is."""
    start_time: datetime
    """When it began."""
    end_time: datetime | None = None
    """When it ended."""
    reason: str | None = None
    """Why it failed."""


class CommandRecord(Model):
    """What became of the last command."""

    id: str
    """The value of the annotation `rollout.dev/command`."""
    done: bool
    """Whether it was carried out."""
    message: str = ""
    """What was done, or why it was not."""
    time: datetime
    """When it was answered."""


class JudgedMetric(Model):
    """What the judge says of one metric."""

    name: str
    """The metric's name."""
    verdict: str
    """Worse, NotWorse or Undecided."""
    message: str | None = None
    """Why: both arms' counts, the evidence against its bound, and how much more traffic a decision needs."""
    canary: str | None = None
    """Bad requests of the canary's, of all."""
    primary: str | None = None
    """The same of the primary's, where the canary is compared with it."""
    baseline: str | None = None
    """The same of the fresh baseline's, where the canary is compared with that."""
    evidence: str | None = None
    """The evidence for what is nearest."""
    bound: str | None = None
    """How much of it decides."""
    more: Int | None = None
    """How many more canary requests are expected to decide."""
    state: str | None = None
    """What the test goes on from, while the analysis lasts."""


class JudgeRecord(Model):
    """The sequential judge of the last analysis."""

    since: datetime
    """When the step began."""
    until: datetime
    """Up to when it was counted."""
    checked: datetime | None = None
    """When everything besides was last found to be well."""
    source: str | None = None
    """Where the counts come from: proxies or prometheus."""
    verdict: str
    """Worse, NotWorse, Undecided or Inconclusive."""
    message: str | None = None
    """Why."""
    metrics: tuple[JudgedMetric, ...] = ()
    """What is said of each metric."""


class CanaryStatus(Model):
    """What was observed and done; unknown keys are kept."""

    phase: Phase = Phase.NONE
    """Where the canary is in its life."""
    failed_checks: Int = 0
    """Failed checks of this analysis."""
    canary_weight: Int = 0
    """Share of the requests that the canary gets, in percent."""
    iterations: Int = 0
    """Checks done of this analysis, where it counts checks."""
    mirroring: Bool = False
    """Whether the canary gets copies of requests now."""
    session_affinity_cookie: str | None = None
    """Cookie of the current run."""
    primary_session_affinity_cookie: str | None = None
    """The primary's cookie of the current run."""
    previous_session_affinity_cookie: str | None = None
    """Cookie of the run before."""
    tracked_configs: dict[str, str] = Field(default_factory=dict)
    """Checksums of the ConfigMaps and Secrets that the target uses, by `configmap/name` or `secret/name`."""
    last_applied_spec: str | None = None
    """Hash of the target's revision that was last seen."""
    last_promoted_spec: str | None = None
    """Hash of the target's revision that was last promoted."""
    last_tracked_revision: str | None = None
    """Written by newer Flaggers: their change fence of the target."""
    last_transition_time: datetime | None = None
    """When the status last changed."""
    conditions: tuple[Condition, ...] = ()
    """What is true of the canary; `Promoted` is Flagger's."""
    analysis: tuple[StepRecord, ...] = ()
    """The last steps that were judged, newest last."""
    history: tuple[RunRecord, ...] = ()
    """The last rollouts, newest last."""
    command: CommandRecord | None = None
    """The last command that was answered."""
    judge: JudgeRecord | None = None
    """What the sequential judge says."""

    def condition(self, type_: str) -> Condition | None:
        """The condition of this type, if it is set."""
        return next((found for found in self.conditions if found.type == type_), None)
