"""What is said of objects: Gateway API's condition types and reasons, and how conditions stand in a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_MESSAGE = 32_768


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `reason` is a word of Gateway API's specification."""

    type: str
    reason: str
    message: str = ""
    holds: bool = field(default=True, kw_only=True)


ACCEPTED = Condition("Accepted", "Accepted")
PROGRAMMED = Condition("Programmed", "Programmed")
RESOLVED = Condition("ResolvedRefs", "ResolvedRefs")
NO_CONFLICTS = Condition("Conflicted", "NoConflicts", holds=False)


def not_accepted(reason: str, message: str) -> Condition:
    """Not acted upon."""
    return Condition("Accepted", reason, message, holds=False)


def not_programmed(reason: str, message: str) -> Condition:
    """Not in force at any proxy."""
    return Condition("Programmed", reason, message, holds=False)


def unresolved(reason: str, message: str) -> Condition:
    """It refers to something that cannot be used."""
    return Condition("ResolvedRefs", reason, message, holds=False)


def partially_invalid(message: str) -> Condition:
    """Rules are left out; the message begins with `Dropped Rule`, as the specification asks."""
    return Condition("PartiallyInvalid", "UnsupportedValue", message)


def written(
    conditions: Iterable[Condition], generation: int, old: Iterable[Mapping[str, Any]], now: str
) -> list[dict[str, Any]]:
    """The conditions as they stand in a status; the time is that of the last change of what holds."""
    before = {each.get("type"): each for each in old}
    found = []
    for each in conditions:
        status = "True" if each.holds else "False"
        known = before.get(each.type, {})
        kept = known.get("status") == status and known.get("lastTransitionTime")
        found.append(
            {
                "type": each.type,
                "status": status,
                "reason": each.reason,
                "message": each.message[:_MOST_MESSAGE],
                "observedGeneration": generation,
                "lastTransitionTime": kept or now,
            }
        )
    return found
