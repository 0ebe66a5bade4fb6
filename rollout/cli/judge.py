"""`judge replay` and `judge aa`: the sequential judge over past traffic, with nothing to install."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from rollout.judge.evidence.counters import Workloads
    from rollout.judge.evidence.past import Past
    from rollout.judge.sequential import Shares

T = TypeVar("T")


class Metric(StrEnum):
    """What is counted."""

    SUCCESS = "request-success-rate"
    DURATION = "request-duration"


Address = Annotated[str, typer.Option("--prometheus", help="The address of a Prometheus.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Where the workloads run.")]
Target = Annotated[str, typer.Option(help="The canary's target; the primary is TARGET-primary.")]
Which = Annotated[Metric, typer.Option(help="Which bad requests to count: failed or slow ones.")]
Alpha = Annotated[float, typer.Option(help="The most that a false rollback may be likely.")]
Beta = Annotated[float, typer.Option(help="The most that a false promotion may be likely.")]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="How much the share of bad requests may grow; 0.01 of failed, 0.02 of slow ones unless given."
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="An absolute limit: the least success rate in percent, or the p99 in ms."),
]
Step = Annotated[float, typer.Option(help="Seconds of a tick; at least the scrape interval.")]
End = Annotated[
    datetime | None,
    typer.Option(help="When the past ends, in UTC; else now.", formats=["%Y-%m-%dT%H:%M:%S"]),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Judge past traffic sequentially.", no_args_is_help=True)
    group.command()(replay)
    group.command()(aa)
    app.add_typer(group, name="judge")


def replay(
    file: Annotated[Path | None, typer.Argument(help="Ticks, one JSON object a line.")] = None,
    *,
    prometheus: Address = "",
    namespace: Namespace = "default",
    target: Target = "",
    minutes: Annotated[float, typer.Option(help="How much of the past to read.", min=1)] = 20,
    end: End = None,
    step: Step = 5.0,
    metric: Which = Metric.SUCCESS,
    alpha: Alpha = 0.01,
    beta: Beta = 0.05,
    tolerance: Tolerance = None,
    threshold: Threshold = None,
) -> None:
    """Say what the judge would have decided, and when: over a file of ticks, or over a Prometheus's past."""
    from rollout.judge.evidence.counters import Workloads
    from rollout.judge.sequential.replay import UnreadableTicks, parse_ticks
    from rollout.judge.sequential.replay import replay as over

    config = _config(metric, alpha, beta, tolerance, threshold)
    if file is not None:
        try:
            ticks = parse_ticks(file.read_text(), config)
        except (OSError, UnreadableTicks) as error:
            raise _fail(f"{file}: {error}") from error
    elif prometheus and target:
        workloads = Workloads.of_target(namespace, target)
        asked = _asked(prometheus, workloads, config, minutes, end, step)
        ticks = _read(asked, lambda past: past.ticks())
    else:
        raise _fail("name a file, or --prometheus and --target")
    decision = over(ticks, config)
    if decision is None:
        raise _fail(f"no canary requests in {len(ticks)} ticks; is the target right, and the time?")
    print(
        f"{datetime.fromtimestamp(decision.at, UTC):%Y-%m-%dT%H:%M:%SZ} {decision.explanation.sentence()}"
    )


def aa(
    *,
    prometheus: Address,
    namespace: Namespace = "default",
    workload: Annotated[str, typer.Option(help="A workload with several pods of one version.")],
    hours: Annotated[float, typer.Option(help="How much of the past to read.", min=0.1)] = 2,
    minutes: Annotated[float, typer.Option(help="How long each run lasts.", min=1)] = 10,
    end: End = None,
    step: Step = 5.0,
    metric: Which = Metric.SUCCESS,
    alpha: Alpha = 0.01,
) -> None:
    """Measure the real false-alarm rate: judge each pod of one version against the others, over the past."""
    from rollout.judge.evidence.counters import Workloads
    from rollout.judge.sequential.replay import false_alarms

    config = _config(metric, alpha, 0.05, None, None)
    workloads = Workloads(namespace=namespace, canary=f"{workload}-canary", primary=workload)
    asked = _asked(prometheus, workloads, config, hours * 60, end, step)
    pods = _read(asked, lambda past: past.pods())
    if not any(pods.values()):
        raise _fail(f"no requests to {workload} in {namespace}; is the name right, and the time?")
    found = false_alarms(pods, config, window=minutes * 60)
    if not found.runs:
        raise _fail(found.sentence())
    print(found.sentence())


def _config(
    metric: Metric, alpha: float, beta: float, tolerance: float | None, threshold: float | None
) -> Shares:
    from rollout.judge.sequential import latency, success_rate
    from rollout.judge.thresholds import Bounds

    try:
        match metric:
            case Metric.SUCCESS:
                bounds = Bounds(min=threshold)
                return success_rate(bounds, alpha=alpha, beta=beta, tolerance=tolerance or 0.01)
            case Metric.DURATION:
                bounds = Bounds(max=threshold)
                return latency(bounds, alpha=alpha, beta=beta, tolerance=tolerance or 0.02)
    except ValueError as error:
        raise _fail(f"--{error}") from error


def _asked(
    address: str,
    workloads: Workloads,
    config: Shares,
    minutes: float,
    end: datetime | None,
    step: float,
) -> Past:
    from rollout.judge.evidence.counters import CounterSource
    from rollout.judge.evidence.past import Past

    last = (end.replace(tzinfo=UTC) if end else datetime.now(UTC)).timestamp()
    begin = last - timedelta(minutes=minutes).total_seconds()
    return Past(
        source=CounterSource(),
        address=address,
        workloads=workloads,
        config=config,
        begin=begin,
        end=last,
        step=step,
    )


def _read(past: Past, read: Callable[[Past], Awaitable[T]]) -> T:
    from rollout.judge.evidence.counters import UnknownEdge
    from rollout.judge.evidence.past import PastUnreadable

    async def work() -> T:
        try:
            return await read(past)
        finally:
            past.source.close()

    try:
        return asyncio.run(work())
    except (PastUnreadable, UnknownEdge) as error:
        raise _fail(str(error)) from error


def _fail(sentence: str) -> typer.Exit:
    print(f"rollout: {sentence}", file=sys.stderr)
    return typer.Exit(1)
