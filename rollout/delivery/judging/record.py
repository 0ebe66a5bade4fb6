"""What a status keeps of the judge: per metric a sentence with its numbers for people, and the test's state to go on from.

Only nouns; bounded, since the number of metrics is. Knows neither a test nor what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rollout.judge.trials import Source


class Ruled(StrEnum):
    """What the judge says of a step."""

    UNDECIDED = "Undecided"
    NOT_WORSE = "NotWorse"
    WORSE = "Worse"
    INCONCLUSIVE = "Inconclusive"
    """It stayed undecided for longer than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRecord:
    """One metric: both arms' counts, the evidence against its bound, and what is missing, as text; `state` is JSON.

    The canary is compared with the primary or with the baseline; the other has no counts.
    """

    name: str
    verdict: Ruled
    message: str = ""
    canary: str = ""
    primary: str = ""
    baseline: str = ""
    evidence: str = ""
    bound: str = ""
    more: int | None = None
    state: str = ""

    @property
    def reference(self) -> str:
        """What the canary was compared with, and its counts."""
        return f"baseline {self.baseline}" if self.baseline else f"primary {self.primary}"

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> MetricRecord:
        """Read it as served."""
        more = data.get("more")
        return cls(
            name=str(data.get("name") or ""),
            verdict=_ruled(data.get("verdict")),
            message=str(data.get("message") or ""),
            canary=str(data.get("canary") or ""),
            primary=str(data.get("primary") or ""),
            baseline=str(data.get("baseline") or ""),
            evidence=str(data.get("evidence") or ""),
            bound=str(data.get("bound") or ""),
            more=int(more) if isinstance(more, int | float) else None,
            state=str(data.get("state") or ""),
        )

    def dump(self) -> dict[str, Any]:
        """As it is written."""
        fields = {
            "name": self.name,
            "verdict": str(self.verdict),
            "message": self.message,
            "canary": self.canary,
            "primary": self.primary,
            "baseline": self.baseline,
            "evidence": self.evidence,
            "bound": self.bound,
            "more": self.more,
            "state": self.state,
        }
        return {key: value for key, value in fields.items() if value not in ("", None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRecord:
    """The judge of one analysis: `since` is when the step began, `until` the time of the last look that is counted in it,
    `checked` when everything besides the judge was last found to be well.
    """

    since: datetime
    until: datetime
    source: Source = Source.NONE
    verdict: Ruled = Ruled.UNDECIDED
    message: str = ""
    checked: datetime | None = None
    metrics: tuple[MetricRecord, ...] = ()

    @classmethod
    def parse(cls, data: object) -> JudgeRecord | None:
        """Read it as served; None where it cannot be gone on from."""
        if not isinstance(data, Mapping):
            return None
        since, until = _time(data.get("since")), _time(data.get("until"))
        if since is None or until is None:
            return None
        source = data.get("source")
        return cls(
            since=since,
            until=until,
            source=Source(source) if source in set(Source) else Source.NONE,
            verdict=_ruled(data.get("verdict")),
            message=str(data.get("message") or ""),
            checked=_time(data.get("checked")),
            metrics=tuple(map(MetricRecord.parse, data.get("metrics") or ())),
        )

    def dump(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "since": _text(self.since),
            "until": _text(self.until),
            **({"checked": _text(self.checked)} if self.checked else {}),
            **({"source": str(self.source)} if self.source else {}),
            "verdict": str(self.verdict),
            **({"message": self.message} if self.message else {}),
            "metrics": [metric.dump() for metric in self.metrics],
        }

    def closed(self) -> JudgeRecord:
        """What is kept of it when the analysis is over: the words, not the states."""
        return replace(self, metrics=tuple(replace(each, state="") for each in self.metrics))


def _ruled(text: object) -> Ruled:
    return Ruled(str(text)) if text in set(Ruled) else Ruled.UNDECIDED


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) if found else None
