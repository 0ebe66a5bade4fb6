"""Which of a canary's hooks still have to be called at one point of its way, and what those that were called said.

Questions (gates, rollback) are asked all at once. Hooks that do something are called one after the other, in the order
in which the canary lists them, and none after the first that fails. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.api.canary import Phase
from rollout.delivery.hooks.call import Agreed, HookCall, HookType, Refused
from rollout.delivery.hooks.payload import calls_of, checksum
from rollout.delivery.situation import Situation

_IN_ORDER = frozenset({HookType.PRE_ROLLOUT, HookType.ROLLOUT, HookType.POST_ROLLOUT})


@dataclass(frozen=True, slots=True)
class Asking:
    """Calls that must be answered first."""

    calls: tuple[HookCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Everything that had to be asked is answered: who agreed, and the first that did not, with its reason."""

    agreed: tuple[str, ...] = ()
    refused: HookCall | None = None
    reason: str = ""


def consult(here: Situation, type_: HookType, phase: Phase | None = None) -> Asking | Answered:
    """Where the canary's hooks of one type stand; `phase` is the one that they are told, the status's where omitted."""
    told = here.status.phase if phase is None else phase
    calls = calls_of(here.canary, type_, str(told), checksum(here.revision, here.configs))
    outcomes = here.snapshot.hooks
    open_ = tuple(call for call in calls if call not in outcomes)
    agreed: list[str] = []
    if open_ and type_ not in _IN_ORDER:
        return Asking(open_)
    for call in calls:
        match outcomes.get(call):
            case None:
                return Asking((call,))
            case Agreed():
                agreed.append(call.name)
            case Refused(reason):
                return Answered(agreed=tuple(agreed), refused=call, reason=reason)
    return Answered(agreed=tuple(agreed))


def who_agreed(here: Situation, type_: HookType) -> Asking | tuple[tuple[str, ...], str]:
    """Of hooks whose agreement changes everything: those before the first that agreed, and its name or nothing."""
    calls = calls_of(
        here.canary, type_, str(here.status.phase), checksum(here.revision, here.configs)
    )
    outcomes = here.snapshot.hooks
    if open_ := tuple(call for call in calls if call not in outcomes):
        return Asking(open_)
    before: list[str] = []
    for call in calls:
        if isinstance(outcomes[call], Agreed):
            return tuple(before), call.name
        before.append(call.name)
    return tuple(before), ""
