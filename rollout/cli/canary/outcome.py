"""What a script wants to know of a rollout: whether it ended, and well. Pure."""

from __future__ import annotations

from enum import IntEnum

from rollout.cli.canary.view import CanaryView


class Exit(IntEnum):
    """Exit codes of `rollout status`; 2 is wrong usage."""

    WELL = 0
    FAILED = 1
    UNDER_WAY = 3


def outcome(view: CanaryView) -> Exit:
    """How it stands: well once the target's present revision serves everybody, failed once it was given up."""
    if not view.settled or view.invalid:
        return Exit.UNDER_WAY if not view.invalid else Exit.FAILED
    return Exit.FAILED if view.phase == "Failed" else Exit.WELL


def sentence(view: CanaryView) -> str:
    """The state as one sentence."""
    name = f"{view.namespace}/{view.name}"
    if view.invalid:
        return f"{name} cannot be acted upon: {view.invalid}"
    why = view.reason or view.message
    state = f"{name} is {view.phase}" + (f" at {view.weight}%" if view.weight else "")
    if view.suspended:
        state += " and paused"
    if not view.noticed:
        return f"{state}; a new revision of {view.target} was not noticed yet"
    return f"{state}: {why}" if why else state
