"""ChaosReport (`chaos.rollout.dev/v1alpha1`): what one run of an experiment was, kept when the experiment is gone.

The keys are those of Chaos Toolkit's journal where it has them. Written once and never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from rollout.api import kinds
from rollout.api.chaos.status import Blast, Verdict
from rollout.api.model import Bool, Int, Model, Number, Resource

EXPERIMENT_LABEL: Final = "chaos.rollout.dev/experiment"
"""Label of a report: name of its experiment."""

AnyObject = Annotated[
    Mapping[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""Kept as it is, whatever is in it."""


class Activity(Model):
    """Something that was done."""

    name: str
    """What."""
    time: datetime
    """When."""
    status: str = "succeeded"
    """Whether it worked: succeeded or failed."""
    output: str = ""
    """What came of it."""


class Sample(Model):
    """A probe's value at a time."""

    time: datetime
    """When."""
    value: Number | None = None
    """The value, where it is a number."""
    verdict: str
    """Passed, Failed, NoData or Error."""


class ProbeHistory(Model):
    """A probe over the run."""

    name: str
    """Its name."""
    mode: str = ""
    """When it was asked."""
    verdict: str
    """How it ended."""
    description: str = ""
    """The last answer as a sentence."""
    criteria: str = ""
    """What the value had to be, `<= 0.01`."""
    samples: tuple[Sample, ...] = ()
    """Its values, thinned out evenly where there are many."""


class SteadyStates(Model):
    """Whether the steady state was met."""

    before: Bool | None = None
    """Before anything was broken."""
    during: Bool | None = None
    """While it was."""
    after: Bool | None = None
    """When it was whole again."""


class ReportSpec(Model):
    """What a run was."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "a report is never changed"}
            ]
        }
    )

    experiment: str
    """Name of the experiment, which is or was in the same namespace."""
    run_id: str = Field(alias="runID")
    """The run."""
    hypothesis: str = ""
    """What it was to show."""
    status: Literal["completed", "failed", "aborted", "interrupted"]
    """How it ended: to its end, not begun since the steady state was not met, stopped, or left by its controller."""
    verdict: Verdict
    """What it showed."""
    reason: str = ""
    """Why, in one sentence."""
    deviated: Bool = False
    """Whether the steady state was lost."""
    start: datetime
    """When it began."""
    end: datetime
    """When it was over."""
    duration: Number
    """Seconds between the two."""
    injected_at: datetime | None = None
    """When the fault was given out."""
    recovering_at: datetime | None = None
    """When it was taken away."""
    target: str
    """`namespace/service (arm)`."""
    fault: str = ""
    """The fault in words."""
    spec: AnyObject = Field(default_factory=dict)
    """The experiment's spec."""
    steady_states: SteadyStates = SteadyStates()
    """Whether the steady state was met."""
    blast: Blast = Blast()
    """What was hit."""
    run: tuple[Activity, ...] = ()
    """What was done."""
    rollbacks: tuple[Activity, ...] = ()
    """What was undone."""
    probes: tuple[ProbeHistory, ...] = ()
    """The probes over the run."""
    probe_success_percentage: Int | None = None
    """Share of the probes asked that passed."""
    load: AnyObject | None = None
    """Fortio's result, without what is long and says little."""


class ChaosReport(Resource):
    """What one run of an experiment was."""

    KIND = kinds.CHAOS_REPORT

    spec: ReportSpec
    """What the run was."""
    status: Mapping[str, Any] = Field(default_factory=dict)
    """Not used."""
