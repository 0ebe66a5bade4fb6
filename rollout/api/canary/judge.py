"""How a canary is judged by statistics instead of thresholds (`spec.analysis.judge`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from rollout.api.durations import Duration
from rollout.api.fields import PositiveDuration
from rollout.api.model import Model, Number, Problem, refusal

_SHORTEST: Final = timedelta(seconds=10)
_LEAST, _MOST = 0.0001, 0.5


def _probability(value: float) -> float:
    if not _LEAST <= value <= _MOST:
        raise refusal(
            f"{value:g} is not from {_LEAST:g} to {_MOST:g}", "give a part of 1, like 0.01"
        )
    return value


Probability = Annotated[
    Number,
    AfterValidator(_probability),
    Field(json_schema_extra={"minimum": _LEAST, "maximum": _MOST}),
]


class Judge(Model):
    """The sequential judge: it decides as soon as the requests seen so far allow, with bounded error."""

    method: Literal["sequential"]
    """The test; there is one."""
    alpha: Probability = 0.01
    """Most probability of ever rolling back a canary that is as good as the primary."""
    beta: Probability = 0.05
    """Most probability that a step accepts a canary that is worse than is tolerated."""
    tolerance: Probability = 0.01
    """By how much the share of failed requests may exceed the primary's: 0.01 is one in a hundred; twice that for slow ones."""
    max_duration: PositiveDuration = Field(default_factory=lambda: Duration.parse("10m"))
    """Time that a step may stay undecided."""
    baseline: Literal["primary", "fresh"] = "primary"
    """With what the canary is compared: the primary as it serves, or `T-baseline`, fresh pods of its version that get as
    many requests as the canary."""
    on_inconclusive: Literal["pause", "promote", "rollback"] = "pause"
    """What becomes of a step that stayed undecided: it waits for more requests or a person, is accepted, or is rolled back."""

    def problems(self) -> Iterator[Problem]:
        """Too little time for any test."""
        if self.max_duration < _SHORTEST:
            reason = f"{self.max_duration.text} is too short for any decision"
            yield Problem("maxDuration", reason, "give at least 10s")
