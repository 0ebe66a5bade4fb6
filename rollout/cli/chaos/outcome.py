"""What a script wants to know of a run: whether it is over, and what it showed. Pure."""

from __future__ import annotations

from enum import IntEnum

from rollout.api.chaos import Verdict
from rollout.cli.chaos.view import ExperimentView


class Exit(IntEnum):
    """Exit codes of `rollout chaos status` and `run --watch`; 2 is wrong usage."""

    PASS = 0
    FAIL = 1
    UNDER_WAY = 3
    UNJUDGED = 4
    """Stopped, or ended by an error: it shows nothing."""


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


def sentence(view: ExperimentView) -> str:
    """The state as one sentence."""
    name = f"{view.namespace}/{view.name}"
    if view.invalid:
        return f"{name} cannot be run: {view.invalid}"
    state = f"{name} is {view.phase}"
    if view.phase.is_over:
        state = f"{name}: {view.verdict}"
    return f"{state}: {view.why}" if view.why else state
