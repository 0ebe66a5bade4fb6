"""One check: a query, the bounds its answer must keep, and what came of it.

Only nouns; a check says which field asked for it, so that a refusal can name it, and knows nothing else of its origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from rollout.judge.thresholds import Bounds, Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One number to ask for at `address`, and how it is judged. `field` is the path of what asked for it."""

    metric: str
    measure: Measure
    query: str
    bounds: Bounds
    address: str
    field: str


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
