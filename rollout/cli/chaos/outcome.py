"""What a script wants to know of a run: whether it is over, and what it showed. Pure."""

from __future__ import annotations

from enum import IntEnum

from rollout.api.chaos import Phase, Verdict
from rollout.chaos.plan.gates import Gate
from rollout.cli.chaos.view import ExperimentView


class Exit(IntEnum):
    """Exit codes of `rollout chaos status` and `run --watch`; 2 is wrong usage."""

    PASS = 0
    FAIL = 1
    UNDER_WAY = 3
    UNJUDGED = 4
    """Stopped, or ended by an error: it shows nothing."""
    HELD = 5
    """Something keeps it from beginning."""


def outcome(view: ExperimentView) -> Exit:
    """The exit code of the run as it stands."""
    if view.invalid:
        return Exit.UNJUDGED
    match view.verdict:
        case Verdict.PASS if view.phase.is_over:
            return Exit.PASS
        case Verdict.FAIL if view.phase.is_over:
            return Exit.FAIL
        case _:
            return Exit.UNJUDGED if view.phase.is_over else Exit.UNDER_WAY


def held_by(view: ExperimentView) -> Gate | None:
    """What keeps the next run from beginning; None where nothing does."""
    if view.phase is not Phase.PENDING:
        return None
    gates = (each.reason for each in view.conditions if each.type == "Selected")
    return next((Gate(reason) for reason in gates if reason in set(Gate)), None)


def sentence(view: ExperimentView) -> str:
    """The state as one sentence."""
    name = f"{view.namespace}/{view.name}"
    if view.invalid:
        return f"{name} cannot be run: {view.invalid}"
    state = f"{name} is {view.phase}"
    if view.phase.is_over:
        state = f"{name}: {view.verdict}"
    return f"{state}: {view.why}" if view.why else state
