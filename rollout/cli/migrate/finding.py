"""What a check of a migration finds. Only nouns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rollout.api.errors import FieldError


class Level(IntEnum):
    """How much it matters; the greatest one is the command's exit code."""

    NOTE = 0
    """Good to know; nothing is lost."""
    DIFFERS = 1
    """Done otherwise than by Flagger, or something is to be done before."""
    REFUSED = 2
    """The canary would be held, or its next rollout would fail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, and about which field."""

    level: Level
    about: FieldError


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryReport:
    """One canary: where it is, what becomes of it, and what was found."""

    namespace: str
    name: str
    phase: str
    then: str
    findings: tuple[Finding, ...] = ()

    @property
    def level(self) -> Level:
        """The greatest of its findings."""
        return max((each.level for each in self.findings), default=Level.NOTE)
