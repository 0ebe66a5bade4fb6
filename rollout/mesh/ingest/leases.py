"""Whose faults may be in force: runs that a controller vouches for, by leases that are seen to be renewed.

A fault must end soon after its controller did, so only a change of a lease counts: one that is seen for the first time
may be what a controller long dead has left. And only one that is news counts: what was held up on its way, because this
process or the API server stood still, tells of the past. How long news takes is known from the quickest so far, which
no difference between two machines' clocks can disturb.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollout.api.chaos import ACTIVE_ANNOTATION

SILENCE = 3.0
"""Seconds without a renewal after which a run is no longer vouched for."""
_LATE = 1.5
"""Seconds that a renewal may take longer than the quickest of the same lease to be news."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a lease says: when it was renewed, by its controller's clock, and for which runs."""

    renewed: datetime
    runs: frozenset[str]


@dataclass(slots=True)
class _Seen:
    reading: Reading
    lag: float
    counted: float = float("-inf")


class Vouchers:
    """All leases as they were seen; `at` is always this machine's monotonic clock."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}

    def take(self, key: tuple[str, str], reading: Reading | None, at: float) -> frozenset[str]:
        """A lease came, changed or (None) went; answers the runs that it vouches for anew."""
        if reading is None:
            self._seen.pop(key, None)
            return frozenset()
        lag = at - reading.renewed.timestamp()
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(reading, lag)
            return frozenset()
        changed = reading.renewed != seen.reading.renewed
        news = changed and lag <= seen.lag + _LATE
        seen.reading = reading
        if changed:
            seen.lag = min(seen.lag, lag)
        if news:
            seen.counted = at
        return reading.runs if news else frozenset()

    def vouched(self, at: float) -> dict[str, float]:
        """The runs that are vouched for now, and when that was last said."""
        found: dict[str, float] = {}
        for seen in self._seen.values():
            if at < seen.counted + SILENCE:
                for run in seen.reading.runs:
                    found[run] = max(found.get(run, seen.counted), seen.counted)
        return found


def reading(lease: Mapping[str, Any]) -> Reading | None:
    """What the object says; None where it is no such lease."""
    spec: Mapping[str, Any] = lease.get("spec") or {}
    annotations: Mapping[str, str] = lease["metadata"].get("annotations") or {}
    try:
        renewed = datetime.fromisoformat(str(spec.get("renewTime")))
        runs = json.loads(annotations.get(ACTIVE_ANNOTATION, "[]"))
    except ValueError:
        return None
    if renewed.tzinfo is None or not isinstance(runs, list):
        return None
    return Reading(renewed, frozenset(run for run in runs if isinstance(run, str)))
