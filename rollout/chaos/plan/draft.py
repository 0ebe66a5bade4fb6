"""A decision in the making: the status as it will be, and what else is to be done. Pure; local to one `decide`."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, Literal

from rollout.api.canary.status import Condition
from rollout.api.chaos import ExperimentStatus, Phase, Verdict
from rollout.api.durations import format_go_duration
from rollout.chaos.plan.snapshot import Ask, Decision, Event
from rollout.kube.objects import Object

_COARSE_SECONDS = 5


class Draft:
    """Collects what a decision consists of; `decision` is what came of it."""

    def __init__(self, status: ExperimentStatus, now: datetime) -> None:
        self.status, self.now = status, now
        self.guard: bool | None = None
        self.report: Object | None = None
        self.prune: int | None = None
        self.asks: tuple[Ask, ...] = ()
        self.opens = self.closes = self.vouches = self.kills = False
        self.starts_load = self.stops_load = self.counts_traffic = False
        self._events: list[Event] = []
        self._wake: datetime | None = None

    def set(self, **fields: Any) -> None:
        """Change fields of the status, by their Python names."""
        self.status = self.status.model_copy(update=fields)

    def condition(
        self, type_: str, holds: Literal["True", "False", "Unknown"], reason: str, message: str = ""
    ) -> None:
        """Set a condition; its time changes with what it says only."""
        old = self.status.condition(type_)
        if old and (old.status, old.reason, old.message) == (holds, reason, message):
            return
        since = old.last_transition_time if old and old.status == holds else self.now
        made = Condition(
            type=type_,
            status=holds,
            reason=reason,
            message=message,
            last_update_time=self.now,
            last_transition_time=since,
        )
        others = [each for each in self.status.conditions if each.type != type_]
        self.set(conditions=tuple(sorted((*others, made), key=lambda each: each.type)))

    def event(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Tell something, after the status is written."""
        self._events.append(Event("Warning" if warning else "Normal", reason, message))

    def wake(self, at: datetime | None) -> None:
        """Look again then, or before."""
        if at is not None:
            self._wake = at if self._wake is None else min(at, self._wake)

    def recover(self, outcome: Verdict | None, reason: str) -> None:
        """End the fault. `outcome` is the verdict where it is settled; None: it is judged when all is whole again."""
        self.set(
            phase=Phase.RECOVERING,
            outcome=outcome,
            recovering_at=self.now,
            reason=reason,
            remaining="",
        )
        self.wake(self.now)

    def decision(self) -> Decision:
        """What was collected."""
        return Decision(
            status=self.status,
            guard=self.guard,
            report=self.report,
            prune=self.prune,
            opens=self.opens,
            closes=self.closes,
            vouches=self.vouches,
            asks=self.asks,
            starts_load=self.starts_load,
            stops_load=self.stops_load,
            kills=self.kills,
            counts_traffic=self.counts_traffic,
            events=tuple(self._events),
            wake=self._wake,
        )


def remaining(until: datetime, now: datetime) -> tuple[str, datetime]:
    """The time that is left, rounded up to 5 s so that it is seldom written, and when it will read differently."""
    left = max(0.0, (until - now).total_seconds())
    steps = math.ceil(left / _COARSE_SECONDS)
    text = format_go_duration(timedelta(seconds=_COARSE_SECONDS * steps))
    changes = until - timedelta(seconds=_COARSE_SECONDS * max(0, steps - 1))
    return text, changes
