"""What is seen of a canary while it is judged: from the pods' proxies each second or, where they have none, from Prometheus.

One `Watch` is one trial's. It knows where counts come from; not what they say of the canary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from rollout.judge.checks import Answer, Check, QueryFailed, Value
from rollout.judge.evidence.counters import (
    CounterSource,
    UnknownEdge,
    Workloads,
    durations_query,
    failed_requests,
    requests_query,
    slow_requests,
)
from rollout.judge.evidence.proxies import PORT, ProxyReader
from rollout.judge.evidence.proxypages import Counting, Pod, tick
from rollout.judge.sequential.counts import Evidence, Reading
from rollout.judge.trials import FAILED, SLOW, Number, Source, Trial

TICK_SECONDS = 5.0
"""Prometheus' ticks, and how often numbers are read: scrapes are seldom closer."""
_LOOKS_FOR_PROXIES = 5
_OVERLAP = timedelta(seconds=60)
_LONGEST = timedelta(seconds=300)

Pods = Callable[[Trial], Awaitable[Sequence[Pod]]]
"""The running pods of both arms."""


class Asks(Protocol):
    """Who answers checks: `rollout.judge.evidence.sources.Sources`."""

    async def answer(self, check: Check) -> Answer:
        """Make one check; never raises."""
        ...


class NoEvidence(Exception):  # noqa: N818 - it says what happened
    """A look brought nothing; the message says why, without what differs from one look to the next."""


class Watch:
    """One trial's looks. `after` is until when it was counted before, by whomever."""

    def __init__(
        self,
        trial: Trial,
        pods: Pods,
        proxies: ProxyReader,
        counters: CounterSource,
        asks: Asks,
        after: datetime,
    ) -> None:
        self._trial, self._pods, self._proxies = trial, pods, proxies
        self._counters, self._asks = counters, asks
        self._counting, self._looks = Counting(), 0
        self._slowly: datetime | None = None
        self._until = {FAILED: after.timestamp(), SLOW: after.timestamp()}
        self.source = Source.NONE

    async def look(self, now: datetime) -> dict[str, tuple[Evidence, ...]]:
        """What was added since the last look, by metric; empty where it is not time yet. Raises NoEvidence."""
        found: dict[str, tuple[Evidence, ...]] = {}
        due = self._slowly is None or now >= self._slowly + timedelta(seconds=TICK_SECONDS)
        if due:
            self._slowly = now
            found |= await self._read_numbers()
        if self.source is not Source.PROMETHEUS:
            return found | await self._ask_proxies()
        return found | await self._ask_prometheus(now) if due else found

    async def _ask_proxies(self) -> dict[str, tuple[Evidence, ...]]:
        pods = await self._pods(self._trial)
        pages = await self._proxies.pages(pods)
        self._looks += 1
        references = [pod for pod in pods if not pod.canary]
        if not any(pod.uid in pages for pod in references):
            if self.source is Source.NONE and self._looks >= _LOOKS_FOR_PROXIES:
                self.source = Source.PROMETHEUS
            of = f"of {len(references)} pods of {self._trial.workloads[1]}"
            raise NoEvidence(f"no proxy {of} answers at port {PORT}")
        self.source = Source.PROXIES
        added = self._counting.look(pods, pages)
        if added is None:
            return {}
        found: dict[str, tuple[Evidence, ...]] = {FAILED: (tick(added),)}
        if self._trial.edges:
            try:
                found[SLOW] = (tick(added, self._trial.edges),)
            except UnknownEdge as error:
                raise NoEvidence(f"{SLOW}: {error}") from None
        return found

    async def _ask_prometheus(self, now: datetime) -> dict[str, tuple[Evidence, ...]]:
        canary, reference = self._trial.workloads
        workloads = Workloads(namespace=self._trial.namespace, canary=canary, primary=reference)
        metrics = (FAILED, SLOW) if self._trial.edges else (FAILED,)
        found = await asyncio.gather(*(self._count(each, workloads, now) for each in metrics))
        return dict(zip(metrics, found, strict=True))

    async def _count(
        self, metric: str, workloads: Workloads, now: datetime
    ) -> tuple[Evidence, ...]:
        after, edges = self._until[metric], self._trial.edges
        missing = timedelta(seconds=max(0.0, now.timestamp() - after))
        window = min(missing + _OVERLAP, _LONGEST)
        query = (
            durations_query(workloads, edges, window)
            if metric == SLOW
            else requests_query(workloads, window)
        )
        series = await self._counters.series(self._trial.address, query)
        if isinstance(series, QueryFailed):
            raise NoEvidence(series.reason)
        bounds = {"step": TICK_SECONDS, "after": after, "until": now.timestamp()}
        try:
            counted = (
                slow_requests(series, workloads, edges, **bounds)
                if metric == SLOW
                else failed_requests(series, workloads, **bounds)
            )
        except UnknownEdge as error:
            raise NoEvidence(f"{metric}: {error}") from None
        self._until[metric] = max(counted.until, now.timestamp() - _LONGEST.total_seconds())
        return tuple(each for _, each in counted.ticks)

    async def _read_numbers(self) -> dict[str, tuple[Evidence, ...]]:
        read = await asyncio.gather(*map(self._read, self._trial.numbers))
        return {metric: (reading,) for metric, reading in read if reading is not None}

    async def _read(self, number: Number) -> tuple[str, Reading | None]:
        both = await asyncio.gather(*map(self._asks.answer, (number.canary, number.reference)))
        values = [answer.value for answer in both if isinstance(answer, Value)]
        return number.metric, Reading(*values) if len(values) == 2 else None
