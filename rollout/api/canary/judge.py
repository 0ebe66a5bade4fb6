"""How a canary is judged by statistics instead of thresholds (`spec.analysis.judge`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final, Literal

from pydantic import Field

from rollout.api.durations import Duration
from rollout.api.fields import PositiveDuration
from rollout.api.model import Model, Number, Problem

_SHORTEST: Final = timedelta(seconds=10)
_OPEN: Final = {"exclusiveMinimum": True, "minimum": 0, "exclusiveMaximum": True}


class Judge(Model):
    """The sequential judge: it decides as soon as the requests seen so far allow, with bounded error."""

    method: Literal["sequential"]
    """The test; there is one."""
    alpha: Number = Field(default=0.01, json_schema_extra={**_OPEN, "maximum": 0.5})
    """Most probability of ever rolling back a canary that is as good as the primary."""
    beta: Number = Field(default=0.05, json_schema_extra={**_OPEN, "maximum": 0.5})
    """Most probability that a step accepts a canary that is worse than is tolerated."""
    tolerance: Number = Field(default=0.01, json_schema_extra={**_OPEN, "maximum": 1})
    """By how much the share of failed requests may exceed the primary's: 0.01 is one in a hundred; twice that for slow ones."""
    max_duration: PositiveDuration = Field(default_factory=lambda: Duration.parse("10m"))
    """Time that a step may stay undecided."""
    baseline: Literal["primary", "fresh"] = "primary"
    """With what the canary is compared: the primary as it serves, or fresh pods of its version."""
    on_inconclusive: Literal["pause", "promote", "rollback"] = "pause"
    """What becomes of a step that stayed undecided: it waits for more requests or a person, is accepted, or is rolled back."""

    def problems(self) -> Iterator[Problem]:
        """Numbers that make no test."""
        for name, value, most in (
            ("alpha", self.alpha, 0.5),
            ("beta", self.beta, 0.5),
            ("tolerance", self.tolerance, 1.0),
        ):
            if not 0 < value < most:
                reason = f"{value:g} is not between 0 and {most:g}"
                yield Problem(name, reason, "give a probability like 0.01")
        if self.max_duration < _SHORTEST:
            reason = f"{self.max_duration.text} is too short for any decision"
            yield Problem("maxDuration", reason, "give at least 10s")
