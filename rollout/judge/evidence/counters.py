"""Raw differences of counters, per arm, from the range vectors of Prometheus: what sequential tests count.

`rate()` and `increase()` extrapolate to the edges of their window, and so yield requests that never were. Here each
scrape's difference is counted once, in the tick of its time; a counter that went back began anew at 0. The extraction
is pure and keeps nothing: its answer says until when it counted, and the next one goes on from there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import TypeAlias

from rollout.judge.checks import Answer, QueryFailed, Value
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.sequential.counts import Arm, Tick

_WORKLOAD = "destination_workload"
_BORN_AFTER = 1.5

Counts: TypeAlias = dict[str, float]
_Sample: TypeAlias = tuple[float, float]
_ByArm: TypeAlias = list[tuple[bool, str, tuple[_Sample, ...]]]
"""Whether it is the canary's, the class of requests that it counts, and its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """The two arms, by the names that the mesh reports as destinations."""

    namespace: str
    canary: str
    primary: str

    @classmethod
    def of_target(cls, namespace: str, target: str) -> Workloads:
        """The arms of a canary with this target, named as Flagger names them."""
        return cls(namespace=namespace, canary=target, primary=f"{target}-primary")


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range vector: its samples are (seconds since 1970, value), oldest first."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted: each tick with the time of its end; `until` is where the next extraction goes on."""

    ticks: tuple[tuple[float, Tick], ...]
    until: float


class UnknownEdge(ValueError):  # noqa: N818 - it says what is asked for
    """A histogram has no bucket with this edge."""


def requests_query(workloads: Workloads, window: timedelta) -> str:
    """The request counters of both arms over the window, which must reach a scrape further back than the last count."""
    return f"istio_requests_total{{{_selector(workloads)}}}[{_seconds(window)}]"


def durations_query(workloads: Workloads, edges: Sequence[float], window: timedelta) -> str:
    """The latency buckets of both arms with these edges, in milliseconds, and the count of all."""
    # Prometheus 3 writes whole edges as 100.0, earlier ones as the program that counts them does.
    wanted = "|".join(
        [*(rf"{edge:g}".replace(".", r"\\.") + r"(\\.0)?" for edge in edges), r"\\+Inf"]
    )
    selector = f'{_selector(workloads)},le=~"{wanted}"'
    return f"istio_request_duration_milliseconds_bucket{{{selector}}}[{_seconds(window)}]"


def _selector(workloads: Workloads) -> str:
    names = "|".join(each.replace(".", r"\\.") for each in (workloads.canary, workloads.primary))
    return (
        f'reporter="destination",destination_workload_namespace="{workloads.namespace}",'
        f'{_WORKLOAD}=~"{names}"'
    )


def _seconds(window: timedelta) -> str:
    return f"{math.ceil(window.total_seconds())}s"


def failed_requests(
    series: Iterable[Series],
    workloads: Workloads,
    *,
    step: float,
    after: float,
    until: float = math.inf,
) -> Counted:
    """Requests, and those answered with 5xx, in ticks of `step` seconds that end after `after` and by `until`."""

    def arm(counts: Counts) -> Arm:
        bad = sum(count for code, count in counts.items() if code.startswith("5"))
        return Arm(round(sum(counts.values())), (round(bad),))

    arms = _by_arm(series, workloads, "response_code")
    return _counted(arms, arm, step=step, after=after, until=until)


def slow_requests(
    series: Iterable[Series],
    workloads: Workloads,
    edges: Sequence[float],
    *,
    step: float,
    after: float,
    until: float = math.inf,
) -> Counted:
    """Requests, and those slower than each edge, as `failed_requests`. Raises UnknownEdge where a bucket is missing."""
    arms = _by_arm(series, workloads, "le")
    known = {float(edge) for _, edge, _ in arms}
    for edge in edges if arms else ():
        if edge not in known:
            raise UnknownEdge(f"the histogram has no bucket with the edge {edge:g} ms")

    def arm(counts: Counts) -> Arm:
        within: dict[float, float] = defaultdict(float)
        for edge, count in counts.items():
            within[float(edge)] += count
        total = round(within[math.inf])
        return Arm(total, tuple(min(max(total - round(within[e]), 0), total) for e in edges))

    return _counted(arms, arm, step=step, after=after, until=until)


def _by_arm(series: Iterable[Series], workloads: Workloads, label: str) -> _ByArm:
    arms = {workloads.canary: True, workloads.primary: False}
    return [
        (arms[each.labels[_WORKLOAD]], each.labels.get(label, "nan"), each.samples)
        for each in series
        if each.labels.get(_WORKLOAD) in arms and each.samples
    ]


def each_pod(
    series: Sequence[Series], workloads: Workloads, label: str = "pod"
) -> Mapping[str, tuple[Series, ...]]:
    """The same series once for each pod of the primary, with that pod as the canary and the others as the primary."""
    own = [each for each in series if each.labels.get(_WORKLOAD) == workloads.primary]
    pods = sorted({each.labels[label] for each in own if label in each.labels})

    def seen_from(pod: str, each: Series) -> Series:
        arm = workloads.canary if each.labels.get(label) == pod else workloads.primary
        return Series({**each.labels, _WORKLOAD: arm}, each.samples)

    return {pod: tuple(seen_from(pod, each) for each in own) for pod in pods}


@dataclass(slots=True)
class _Bin:
    """What was scraped in one tick: which arms, and the differences by class."""

    scraped: set[bool] = field(default_factory=set)
    counts: dict[bool, Counts] = field(
        default_factory=lambda: {True: defaultdict(float), False: defaultdict(float)}
    )

    def absorb(self, other: _Bin) -> None:
        self.scraped |= other.scraped
        for canary, counts in other.counts.items():
            for name, count in counts.items():
                self.counts[canary][name] += count


def _counted(
    arms: _ByArm, arm: Callable[[Counts], Arm], *, step: float, after: float, until: float
) -> Counted:
    """Ticks with scrapes of both arms; what one arm lacks is counted with the tick in which it is scraped again.

    Before the canary's first scrape the primary's ticks stand alone.
    """
    bins = _bins(arms, step=step, after=after, until=until)
    first = min((samples[0][0] for canary, _, samples in arms if canary), default=math.inf)
    ticks: list[tuple[float, Tick]] = []
    held, counted = _Bin(), after
    for number in sorted(bins):
        end = number * step
        if end > until:
            break
        held.absorb(bins[number])
        if len(held.scraped) == 2 or (end < first and False in held.scraped):
            ticks.append((end, Tick(arm(held.counts[True]), arm(held.counts[False]))))
            held, counted = _Bin(), end
    return Counted(tuple(ticks), counted)


def _bins(arms: _ByArm, *, step: float, after: float, until: float) -> Mapping[int, _Bin]:
    oldest = min((samples[0][0] for _, _, samples in arms), default=math.inf)
    interval = min(
        (later - sooner for _, _, samples in arms for (sooner, _), (later, _) in pairwise(samples)),
        default=math.inf,
    )
    bins: dict[int, _Bin] = defaultdict(_Bin)
    for canary, name, samples in arms:
        # Others were scraped before it was there: it began in between, and counted from 0.
        born = samples[0][0] - oldest >= _BORN_AFTER * interval
        before = 0.0 if born else None
        for time, value in samples:
            if after < time <= until:
                into = bins[math.ceil(time / step)]
                into.scraped.add(canary)
                if before is not None:
                    into.counts[canary][name] += value - before if value >= before else value
            before = value
    return bins


class CounterSource(Prometheus):
    """The same Prometheus servers, asked for series instead of one number."""

    async def series(
        self, address: str, query: str, at: float | None = None
    ) -> tuple[Series, ...] | QueryFailed:
        """The series of a range vector, as of now or of `at`, in seconds since 1970; never raises for an answer."""
        client = self._client(address)
        params = {} if at is None else {"time": f"{at:.3f}"}
        found: list[Series] = []

        def ask() -> Answer:
            found.extend(parse_series(client.custom_query(query, params=params)))
            return Value(len(found))

        answer = await self._ask(address, ask)
        return answer if isinstance(answer, QueryFailed) else tuple(found)


def parse_series(result: object) -> tuple[Series, ...]:
    """The series of a result of type matrix. Raises TypeError, LookupError or ValueError for anything else."""
    if not isinstance(result, list):
        raise TypeError(f"result is {type(result).__name__}")
    return tuple(
        Series(dict(each["metric"]), tuple((float(t), float(v)) for t, v in each["values"]))
        for each in result
    )
