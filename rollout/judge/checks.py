"""One check: a query, the bounds its answer must keep, and what came of it.

Only nouns; a check says which field asked for it, so that a refusal can name it, and knows nothing else of its origin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from rollout.judge.thresholds import Bounds, Measure


class NoDataPolicy(StrEnum):
    """What a query without a value means."""

    FAIL = "fail"
    """A failed check."""
    HOLD = "hold"
    """Not yet: nothing moves, and nothing counts."""
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    """A good check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The provider of a MetricTemplate, as written; `window` is the metric's interval, `secret` the Secret's name."""

    type: str
    namespace: str
    template: str
    window: timedelta
    address: str = ""
    region: str = ""
    secret: str = ""
    headers: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), repr=False)
    verify: bool = True

    @property
    def name(self) -> str:
        """The template as messages name it."""
        return f"MetricTemplate {self.namespace}/{self.template}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One number to ask for, and how it is judged. `field` is the path of what asked for it.

    It is asked for at `source`, or at the Prometheus at `address` where there is none.
    """

    metric: str
    measure: Measure
    query: str
    bounds: Bounds
    address: str
    field: str
    source: Source | None = None
    no_data: NoDataPolicy = NoDataPolicy.FAIL


@dataclass(frozen=True, slots=True)
class Value:
    """The number that the query yielded; never NaN, perhaps infinite."""

    value: float


@dataclass(frozen=True, slots=True)
class NoData:
    """The query is sound and yields nothing usable: an empty vector, or NaN."""

    reason: str


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """No answer. `retriable`: the same query may succeed later (the server is away); otherwise the query is at fault."""

    reason: str
    retriable: bool


Answer: TypeAlias = Value | NoData | QueryFailed
