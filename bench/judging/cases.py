"""The cases: what both versions do, and how they are judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.judging.classic import RULES, Rule
from bench.judging.traffic import Traffic
from rollout.judge import sequential
from rollout.judge.sequential import Shares
from rollout.judge.thresholds import Bounds

RATE = sequential.success_rate(Bounds())
LIMITED = sequential.success_rate(Bounds(min=99))
LATENCY = sequential.latency(Bounds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table. `key` names its figures; `promised`: whether alpha is claimed to hold there."""

    key: str
    title: str
    traffic: Traffic
    config: Shares = RATE
    classic: tuple[Rule, ...] = ()
    promised: bool = True


def _null(cluster: int, **traffic: float) -> Case:
    error = traffic.pop("error", 0.005)
    named = "".join(f", {name} {value:g}" for name, value in traffic.items())
    suffix = "".join(f"_{name}{value:g}" for name, value in traffic.items())
    made = replace(
        Traffic(error=error, canary_error=error, cluster=cluster),
        **traffic,  # type: ignore[arg-type]
    )
    return Case(
        key=f"null_{error * 100:g}pct_cluster{cluster}{suffix}",
        title=f"equal, {error:.2%} in clusters of {cluster}{named}",
        traffic=made,
        classic=RULES if not traffic else (),
    )


NULLS = [
    *(_null(cluster) for cluster in (1, 3, 5, 10)),
    *(_null(cluster, error=0.001) for cluster in (1, 3, 5, 10)),
    *(_null(cluster, error=0.0001) for cluster in (1, 10)),
    *(_null(cluster, tide=0.8) for cluster in (1, 3, 5, 10)),
    _null(5, tide=0.8, error_tide=0.8),
    *(_null(cluster, weight=0.5) for cluster in (1, 10)),
    _null(10, rate=20.0),
    _null(10, history=0.0),
    _null(10, spread=3.0),
    replace(
        _null(10, spread=10.0),
        key="null_longer_than_block",
        title="equal, 0.50% in clusters of 10 over 10 s, longer than a block",
        promised=False,
    ),
    replace(
        _null(10, spread=10.0),
        key="null_block2",
        title="the same, blocks of 10 s",
        config=replace(RATE, block=2),
    ),
    Case(
        key="null_limit", title="equal, 0.10% errors, limit 99 %", traffic=Traffic(), config=LIMITED
    ),
    replace(_null(10, tick=1.0, spread=3.0), config=replace(RATE, block=5)),
    Case(key="null_latency", title="equal latency", traffic=Traffic(), config=LATENCY),
]
TIMES = [
    Case(key="to_1pct", title="0.1 % -> 1 %", traffic=Traffic(canary_error=0.01), classic=RULES),
    Case(key="to_2pct", title="0.1 % -> 2 %", traffic=Traffic(canary_error=0.02), classic=RULES),
    Case(key="to_5pct", title="0.1 % -> 5 %", traffic=Traffic(canary_error=0.05), classic=RULES),
    Case(
        key="to_5pct_tick1",
        title="0.1 % -> 5 %, tick 1 s",
        traffic=Traffic(canary_error=0.05, tick=1.0),
        config=replace(RATE, block=5),
    ),
    Case(
        key="to_5pct_limit",
        title="0.1 % -> 5 %, limit 99 %",
        traffic=Traffic(canary_error=0.05),
        config=LIMITED,
    ),
    Case(
        key="from_0_to_5pct",
        title="0 % -> 5 %, clusters unknown",
        traffic=Traffic(error=0.0, canary_error=0.05),
    ),
    Case(
        key="to_5pct_clusters5",
        title="0.1 % -> 5 %, clusters of 5",
        traffic=Traffic(canary_error=0.05, cluster=5),
    ),
    Case(key="to_50pct", title="0.1 % -> 50 %", traffic=Traffic(canary_error=0.5), classic=RULES),
    Case(
        key="low_traffic",
        title="2 canary req/s, 0.5 % -> 5 %",
        traffic=Traffic(rate=20.0, error=0.005, canary_error=0.05),
        classic=RULES,
    ),
    Case(
        key="latency_x1_25",
        title="latency x1.25",
        traffic=Traffic(slowdown=1.25),
        config=LATENCY,
    ),
    Case(key="latency_x1_5", title="latency x1.5", traffic=Traffic(slowdown=1.5), config=LATENCY),
    Case(key="latency_x2", title="latency x2", traffic=Traffic(slowdown=2.0), config=LATENCY),
    Case(key="latency_stall", title="2 % stall 3 s", traffic=Traffic(stall=0.02), config=LATENCY),
]
PROMOTIONS = [
    Case(key="promote_1pp", title="good canary, tolerance 1 pp", traffic=Traffic(length=300)),
    Case(
        key="promote_2pp",
        title="good canary, tolerance 2 pp",
        traffic=Traffic(length=300),
        config=replace(RATE, tolerance=0.02),
    ),
    Case(
        key="promote_latency",
        title="good canary, latency",
        traffic=Traffic(length=300),
        config=LATENCY,
    ),
    Case(
        key="promote_bad",
        title="canary 1 pp worse (promoted wrongly)",
        traffic=Traffic(canary_error=0.0111),
    ),
    Case(
        key="promote_bad_clusters10",
        title="the same in clusters of 10",
        traffic=Traffic(canary_error=0.0111, cluster=10),
    ),
]
