"""Which tests a canary's judge makes, and what has to be watched for them. Pure."""

from __future__ import annotations

from dataclasses import replace

from rollout.api.canary import Canary, CanaryMetric
from rollout.delivery.checking import metrics_address, plan_numbers
from rollout.delivery.objects.metadata import baseline_name, primary_name
from rollout.delivery.situation import Situation
from rollout.judge.sequential import Config, Direction, Mean, latency, shared, success_rate
from rollout.judge.sequential.config import ISTIO_EDGES
from rollout.judge.thresholds import Bounds, Measure
from rollout.judge.trials import FAILED, SLOW, Source, Trial

_TICKS_A_BLOCK = {Source.PROXIES: 5}
"""Blocks of about five seconds, in which failures may have had one cause."""


def trial_of(here: Situation) -> Trial:
    """What is watched. Raises BrokenCheckError for a metric that cannot be asked for.

    A fresh baseline has requests from the canary's first ones on. How failures cluster, and which latencies are usual, is
    learnt before: from the primary, whose version it is.
    """
    canary = here.canary
    label, value = here.label
    fresh = canary.spec.fresh_baseline and here.status.progress.begun
    reference = canary.baseline_name if fresh else canary.primary_name
    judged = {metric.name for metric in canary.spec.analysis.metrics}
    return Trial(
        namespace=canary.namespace,
        label=label,
        canary=value,
        reference=baseline_name(value) if fresh else primary_name(value),
        workloads=(canary.target_name, reference),
        address=metrics_address(here),
        edges=ISTIO_EDGES if SLOW in judged else (),
        numbers=plan_numbers(here, reference),
    )


def tests_of(canary: Canary, source: Source) -> tuple[Config, ...]:
    """The tests, which share alpha between them; empty where there is no judge."""
    judge = canary.spec.analysis.judge
    if judge is None:
        return ()
    alpha, beta, tolerance = judge.alpha, judge.beta, judge.tolerance
    block = _TICKS_A_BLOCK.get(source, 1)
    found: dict[str, Config] = {}
    for metric in canary.spec.analysis.metrics:
        if metric.name == FAILED:
            bounds = _bounds(metric, Measure.SUCCESS_RATE)
            found[FAILED] = success_rate(
                bounds, alpha=alpha, beta=beta, tolerance=tolerance, block=block
            )
        elif metric.name == SLOW:
            bounds = _bounds(metric, Measure.DURATION)
            slow = min(2 * tolerance, 0.99)
            found[SLOW] = latency(bounds, alpha=alpha, beta=beta, tolerance=slow, block=block)
        elif metric.direction:
            direction = Direction(metric.direction)
            found[metric.name] = Mean(
                metric=metric.name, direction=direction, alpha=alpha, beta=beta
            )
    reference = "baseline" if canary.spec.fresh_baseline else "primary"
    return shared(tuple(replace(each, reference=reference) for each in found.values()))


def _bounds(metric: CanaryMetric, measure: Measure) -> Bounds:
    allowed = metric.threshold_range
    if allowed is not None:
        return Bounds(min=allowed.min, max=allowed.max)
    if metric.threshold is not None:
        return Bounds.of_threshold(measure, metric.threshold)
    return Bounds()
