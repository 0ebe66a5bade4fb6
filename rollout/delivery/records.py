"""What a status keeps for people: the last steps with their checks, the last rollouts, and the last command.

All of it is bounded and optional beside Flagger's keys; no decision but a command's depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

STEPS_KEPT = 5
RUNS_KEPT = 10
CHECKS_KEPT = 20
_LONGEST = 300


class Verdict(StrEnum):
    """What came of one check."""

    PASSED = "Passed"
    FAILED = "Failed"
    NO_DATA = "NoData"
    ERROR = "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """One check of a step: what was measured, and within which bounds it had to be. Numbers are text, as in conditions."""

    metric: str
    verdict: Verdict
    value: str = ""
    threshold: str = ""
    message: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> CheckRecord:
        """Read it as served; a verdict that is not known counts as an error."""
        verdict = data.get("verdict")
        return cls(
            metric=str(data.get("metric") or ""),
            verdict=Verdict(verdict) if verdict in set(Verdict) else Verdict.ERROR,
            value=str(data.get("value") or ""),
            threshold=str(data.get("threshold") or ""),
            message=str(data.get("message") or ""),
        )

    def dump(self) -> dict[str, Any]:
        """As it is written."""
        return _present(
            metric=self.metric,
            verdict=str(self.verdict),
            value=self.value,
            threshold=self.threshold,
            message=_cut(self.message),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step that was judged: at which share of the traffic, and whether the canary went on."""

    time: datetime
    revision: str
    weight: int
    advanced: bool
    checks: tuple[CheckRecord, ...] = ()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> StepRecord:
        """Read it as served."""
        return cls(
            time=_time(data.get("time")) or _LONG_AGO,
            revision=str(data.get("revision") or ""),
            weight=int(data.get("weight") or 0),
            advanced=bool(data.get("advanced")),
            checks=tuple(map(CheckRecord.parse, data.get("checks") or ())),
        )

    def dump(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "time": _text(self.time),
            "revision": self.revision,
            "weight": self.weight,
            "advanced": self.advanced,
            "checks": [check.dump() for check in self.checks],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One rollout of a revision; `ended` is None while it is under way."""

    revision: str
    phase: str
    started: datetime
    ended: datetime | None = None
    reason: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Run:
        """Read it as served."""
        return cls(
            revision=str(data.get("revision") or ""),
            phase=str(data.get("phase") or ""),
            started=_time(data.get("startTime")) or _LONG_AGO,
            ended=_time(data.get("endTime")),
            reason=str(data.get("reason") or ""),
        )

    def dump(self) -> dict[str, Any]:
        """As it is written."""
        return _present(
            revision=self.revision,
            phase=self.phase,
            startTime=_text(self.started),
            endTime=_text(self.ended) if self.ended else "",
            reason=_cut(self.reason),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """The last command that was answered; by its id it is answered once."""

    id: str
    done: bool
    message: str
    time: datetime

    @classmethod
    def parse(cls, data: Mapping[str, Any] | None) -> CommandRecord | None:
        """Read it as served."""
        if not data:
            return None
        return cls(
            id=str(data.get("id") or ""),
            done=bool(data.get("done")),
            message=str(data.get("message") or ""),
            time=_time(data.get("time")) or _LONG_AGO,
        )

    def dump(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "id": _cut(self.id),
            "done": self.done,
            "message": _cut(self.message),
            "time": _text(self.time),
        }


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _present(**fields: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if isinstance(text, str) else None
    except ValueError:
        return None
