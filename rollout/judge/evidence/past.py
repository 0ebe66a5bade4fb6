"""The ticks of a past stretch of time, read from Prometheus piece by piece so that no answer grows too large.

Knows which counters a metric is made of; judges nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from rollout.judge.checks import QueryFailed
from rollout.judge.evidence.counters import (
    Counted,
    CounterSource,
    Series,
    Workloads,
    durations_query,
    each_pod,
    failed_requests,
    requests_query,
    slow_requests,
)
from rollout.judge.sequential.config import Shares
from rollout.judge.sequential.counts import Tick

PIECE = 120.0
"""Seconds that are read at once."""
OVERLAP = 60.0
"""Seconds that are read again, so that each counter has a sample before the piece."""


class PastUnreadable(Exception):  # noqa: N818 - it says what happened
    """Prometheus did not answer for a piece; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A stretch of time of two workloads: from `begin` to `end`, in seconds since 1970, in ticks of `step` seconds."""

    source: CounterSource
    address: str
    workloads: Workloads
    config: Shares
    begin: float
    end: float
    step: float = 5.0

    async def ticks(self) -> list[tuple[float, Tick]]:
        """The ticks of canary and primary. Raises PastUnreadable, or UnknownEdge for an edge that was never counted."""
        after, ticks = self.begin, list[tuple[float, Tick]]()
        async for until, series in self._pieces():
            counted = self._count(series, after, until)
            ticks += counted.ticks
            after = max(counted.until, until - OVERLAP + self.step)
        return ticks

    async def pods(self) -> dict[str, list[tuple[float, Tick]]]:
        """The ticks of each pod of the primary against the others, for `replay.false_alarms`. Raises as `ticks`."""
        ticks: dict[str, list[tuple[float, Tick]]] = defaultdict(list)
        after: dict[str, float] = defaultdict(lambda: self.begin)
        async for until, series in self._pieces():
            for pod, seen in each_pod(series, self.workloads).items():
                counted = self._count(seen, max(after[pod], until - PIECE), until)
                ticks[pod] += counted.ticks
                after[pod] = max(counted.until, until - OVERLAP + self.step)
        return dict(ticks)

    async def _pieces(self) -> AsyncIterator[tuple[float, tuple[Series, ...]]]:
        window = timedelta(seconds=PIECE + OVERLAP)
        query = (
            durations_query(self.workloads, self.config.edges, window)
            if self.config.edges
            else requests_query(self.workloads, window)
        )
        until = self.begin
        while until < self.end:
            until = min(until + PIECE, self.end)
            answer = await self.source.series(self.address, query, until)
            if isinstance(answer, QueryFailed):
                raise PastUnreadable(answer.reason)
            yield until, answer

    def _count(self, series: tuple[Series, ...], after: float, until: float) -> Counted:
        if self.config.edges:
            return slow_requests(
                series, self.workloads, self.config.edges, step=self.step, after=after, until=until
            )
        return failed_requests(series, self.workloads, step=self.step, after=after, until=until)
