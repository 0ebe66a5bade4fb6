"""What a load run came to, read from Fortio's JSON. Pure; knows nothing of how Fortio is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

PERCENTILES = (50.0, 75.0, 90.0, 99.0, 99.9)
"""The percentiles that Fortio is asked for."""
_KEPT = (
    "RunType",
    "StartTime",
    "RequestedQPS",
    "RequestedDuration",
    "ActualQPS",
    "ActualDuration",
    "NumThreads",
    "Version",
    "URL",
    "DurationHistogram",
    "RetCodes",
    "SocketCount",
)
_GOOD_WORDS = frozenset({"SERVING", "OK"})


class UnreadableResultError(ValueError):
    """Something else than a result of Fortio; `str()` says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Requests that took from `start` to `end` seconds; `percent` is the share of all that took at most `end`."""

    start: float
    end: float
    percent: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """Times are seconds. `codes` are requests by answer: HTTP's status, gRPC's word, `-1` for no answer at all.

    `kept` is Fortio's own object without what is long and says little, for the report.
    """

    requests: int
    actual_qps: float
    requested_qps: str
    seconds: float
    average: float
    longest: float
    histogram: tuple[Bucket, ...]
    percentiles: tuple[tuple[float, float], ...]
    codes: Mapping[str, int]
    kept: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `fortio load -json -` writes. Raises UnreadableResultError."""
        try:
            data = json.loads(text)
        except ValueError:
            raise UnreadableResultError("what Fortio wrote is not JSON") from None
        if not isinstance(data, dict):
            raise UnreadableResultError("what Fortio wrote is not a JSON object")
        return cls.of(data)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """The result in Fortio's object, whole or as `kept`. Raises UnreadableResultError."""
        try:
            histogram = data["DurationHistogram"]
            return cls(
                requests=int(histogram["Count"]),
                actual_qps=float(data["ActualQPS"]),
                requested_qps=str(data["RequestedQPS"]),
                seconds=float(data["ActualDuration"]) / 1e9,
                average=float(histogram["Avg"]),
                longest=float(histogram["Max"]),
                histogram=tuple(
                    Bucket(
                        float(each["Start"]),
                        float(each["End"]),
                        float(each["Percent"]),
                        int(each["Count"]),
                    )
                    for each in histogram.get("Data") or ()
                ),
                percentiles=tuple(
                    (float(each["Percentile"]), float(each["Value"]))
                    for each in histogram.get("Percentiles") or ()
                ),
                codes={str(code): int(n) for code, n in (data.get("RetCodes") or {}).items()},
                kept={name: data[name] for name in _KEPT if name in data},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableResultError(f"not a result of Fortio: {error!r}") from None

    @property
    def failed(self) -> int:
        """Requests that were not answered, or with 4xx, 5xx or a gRPC failure."""
        return sum(count for code, count in self.codes.items() if not is_good(code))

    @property
    def error_ratio(self) -> float | None:
        """Their share; None of no requests."""
        total = sum(self.codes.values())
        return self.failed / total if total else None

    def failures(self) -> str:
        """What failed, in words, by how often and by answer; empty of nothing."""
        bad = {code: count for code, count in self.codes.items() if count and not is_good(code)}
        if not bad:
            return ""
        often = sorted(bad, key=lambda code: (-bad[code], code))
        answers = (f"{'no answer' if code == '-1' else code} ({bad[code]})" for code in often)
        return f"{self.failed} of {sum(self.codes.values())} requests: {', '.join(answers)}"

    def percentile(self, percent: float) -> float | None:
        """Seconds within which so many percent were answered; None where that was not asked for or nothing was sent."""
        return dict(self.percentiles).get(percent)

    def figure(self, name: str) -> float | None:
        """A figure by the name that probes use: `p99`, `avg`, `max`, `qps` or `errorRatio`; None where there is none."""
        match name:
            case "avg":
                return self.average if self.requests else None
            case "max":
                return self.longest if self.requests else None
            case "qps":
                return self.actual_qps
            case "errorRatio":
                return self.error_ratio
            case _:
                return self.percentile(float(name.removeprefix("p")))

    def sentence(self) -> str:
        """The whole on one line, for people."""
        p99 = self.percentile(99)
        slow = "" if p99 is None else f", p99 {p99 * 1000:.0f} ms"
        return f"{self.requests} requests, {self.failed} failed, {self.actual_qps:.1f}/s{slow}"


def is_good(code: str) -> bool:
    """Whether an answer by Fortio's name of it is no failure."""
    return code in _GOOD_WORDS or (code.isdecimal() and 100 <= int(code) < 400)
