"""Which checks a canary's step depends on, and what their answers mean for it, in the words of Flagger's events. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from rollout.api.canary import CanaryMetric, Phase, canonical
from rollout.api.durations import parse_prometheus_duration
from rollout.api.metrictemplate import MetricTemplate
from rollout.delivery.refusals import Refusal
from rollout.delivery.situation import Situation
from rollout.delivery.status import PROMOTED
from rollout.judge.checks import Check, NoData, NoDataPolicy, QueryFailed, Source
from rollout.judge.queries import (
    BUILTIN,
    METRIC_NAMES,
    TemplateError,
    Variables,
    of_own_pods,
    render_query,
)
from rollout.judge.thresholds import Bounds, Fail, Measure, judge
from rollout.judge.trials import Number
from rollout.kube.objects import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A check that holds the canary: what its event says and, where something may have to be mended, its condition.

    `counts` is whether it is a failed check, of which only so many are borne.
    """

    message: str
    refusal: Refusal | None = None
    remedy: str = ""
    counts: bool = True


class BrokenCheckError(Exception):
    """A check cannot even be asked: `path` is the canary's field that it comes from; `str()` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Passed:
    """Every check is within its bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The checks of one step in the order in which they count; `broken` where one of them cannot even be asked."""

    checks: tuple[Check, ...] = ()
    broken: Held | None = None


def plan_checks(here: Situation) -> Plan:
    """What has to be asked before this canary may take its next step."""
    checks: list[Check] = []
    # Metrics of templates come last, as in Flagger.
    for part in (_checks_of, _template_checks):
        for index, metric in enumerate(here.canary.spec.analysis.metrics):
            path = f"spec.analysis.metrics[{index}]"
            if metric.compared_only:
                continue
            try:
                checks.extend(part(here, metric, path))
            except BrokenCheckError as error:
                message = f"Metric query failed for {metric.name}: {error}"
                held = Held(
                    message=message, refusal=Refusal.QUERY_REFUSED, remedy=f"mend {error.path}"
                )
                return Plan(broken=held)
    return Plan(checks=tuple(checks))


def plan_numbers(here: Situation, reference: str) -> tuple[Number, ...]:
    """What the judge asks of both arms, for metrics with a direction; `reference` is the workload that the canary is
    compared with. Raises BrokenCheckError.
    """
    found = []
    for index, metric in enumerate(here.canary.spec.analysis.metrics):
        path = f"spec.analysis.metrics[{index}]"
        if metric.direction is None:
            continue
        canary, other = (
            next(_custom_checks(here, metric, path, _Arm(target, metric.window)))
            for target in (here.canary.target_name, reference)
        )
        if canary == other:
            reason = (
                "the query does not name {{ target }}, so that it cannot be asked of the primary"
            )
            raise BrokenCheckError(canary.field, reason)
        found.append(Number(metric=metric.name, canary=canary, reference=other))
    return tuple(found)


def verdict(here: Situation, plan: Plan) -> Passed | Held | None:
    """What the answers say; the first check that fails counts. None where answers are still to be had."""
    if plan.broken is not None:
        return plan.broken
    answers = here.snapshot.answers
    if plan.checks and (answers is None or any(check not in answers for check in plan.checks)):
        return None
    for check in plan.checks:
        answer = (answers or {})[check]
        match answer:
            case NoData() if check.no_data is NoDataPolicy.PASS:
                continue
            case NoData(reason):
                return _no_values(here, check, reason)
            case QueryFailed():
                return _query_failed(check, answer)
            case _:
                outcome = judge(check.measure, check.metric, answer.value, check.bounds)
                if isinstance(outcome, Fail):
                    return Held(message=f"Halt {here.name} advancement {outcome.sentence}")
    return Passed()


def provider_of(here: Situation) -> str:
    """The provider whose built-in queries are used."""
    return here.canary.spec.provider or here.snapshot.settings.mesh_provider


def metrics_address(here: Situation) -> str:
    """The Prometheus that is asked."""
    return here.canary.spec.metrics_server or here.snapshot.settings.metrics_server


class _Arm(NamedTuple):
    """Whom a query is about, and over which window."""

    target: str
    window: str


def _canarys(here: Situation, metric: CanaryMetric) -> _Arm:
    return _Arm(here.canary.target_name, _window(here, metric))


def _checks_of(here: Situation, metric: CanaryMetric, path: str) -> Iterator[Check]:
    measure = METRIC_NAMES.get(metric.name)
    # Where there is a judge, it counts these requests one by one.
    if measure is not None and here.canary.spec.analysis.judge is None:
        template = BUILTIN[canonical(provider_of(here))][measure]
        if here.target_kind.names_pods:
            template = of_own_pods(template)
        yield _check(here, metric, measure, template, path, _canarys(here, metric))
    if metric.query:
        yield from _query_checks(here, metric, path, _canarys(here, metric))


def _template_checks(here: Situation, metric: CanaryMetric, path: str) -> Iterator[Check]:
    if metric.template_ref is not None:
        yield from _referred_checks(here, metric, path, _canarys(here, metric))


def _custom_checks(here: Situation, metric: CanaryMetric, path: str, arm: _Arm) -> Iterator[Check]:
    yield from _query_checks(here, metric, path, arm)
    yield from _referred_checks(here, metric, path, arm)


def _query_checks(here: Situation, metric: CanaryMetric, path: str, arm: _Arm) -> Iterator[Check]:
    if metric.query:
        yield _check(here, metric, Measure.CUSTOM, metric.query, f"{path}.query", arm)


def _referred_checks(
    here: Situation, metric: CanaryMetric, path: str, arm: _Arm
) -> Iterator[Check]:
    ref = metric.template_ref
    if ref is None:
        return
    path = f"{path}.templateRef"
    key = Key(ref.namespace or here.canary.namespace, ref.name)
    if here.snapshot.settings.no_cross_namespace_refs and key.namespace != here.canary.namespace:
        raise BrokenCheckError(path, f"namespace {key.namespace!r} is not the canary's")
    found = here.snapshot.templates.get(key)
    if not isinstance(found, MetricTemplate):
        reason = f"there is no MetricTemplate {key}" if found is None else str(found)
        raise BrokenCheckError(path, reason)
    source = source_of(found, arm.window)
    check = _check(here, metric, Measure.CUSTOM, found.spec.query, path, arm)
    yield replace(check, source=source)


def source_of(template: MetricTemplate, window: str) -> Source:
    """Where a template's query is asked, for a window as Prometheus writes it."""
    provider = template.spec.provider
    return Source(
        type=provider.type,
        namespace=template.namespace,
        template=template.name,
        window=parse_prometheus_duration(window),
        address=provider.address or "",
        region=provider.region or "",
        secret=provider.secret_ref.name if provider.secret_ref else "",
        headers=tuple(sorted((name, tuple(values)) for name, values in provider.headers.items())),
        verify=not provider.insecure_skip_verify,
    )


def _check(
    here: Situation,
    metric: CanaryMetric,
    measure: Measure,
    template: str,
    path: str,
    arm: _Arm,
) -> Check:
    canary = here.canary
    ingress, route = canary.spec.ingress_ref, canary.spec.route_ref
    variables = Variables(
        name=canary.name,
        namespace=canary.namespace,
        target=arm.target,
        service=canary.apex_name,
        ingress=ingress.name if ingress else canary.target_name,
        route=route.name if route else canary.target_name,
        interval=arm.window,
        variables=metric.template_variables,
    )
    allowed = metric.threshold_range
    bounds = (
        Bounds.of_threshold(measure, metric.threshold or 0.0)
        if allowed is None
        else Bounds(min=allowed.min, max=allowed.max)
    )
    try:
        query = render_query(template, variables)
    except TemplateError as error:
        raise BrokenCheckError(path, str(error)) from None
    return Check(
        metric=metric.name,
        measure=measure,
        query=query,
        no_data=NoDataPolicy(metric.no_data_policy or NoDataPolicy.FAIL),
        bounds=bounds,
        address=metrics_address(here),
        field=path,
    )


def _window(here: Situation, metric: CanaryMetric) -> str:
    """The metric's window, but no longer than this analysis has lasted: an earlier revision's requests are no evidence.

    The workload's name, by which requests are counted, is the same for every revision. The end is when the step was
    due, not now, so that a check that is asked again is the same check.
    """
    promoted = here.status.condition(PROMOTED)
    # While a promotion waits, the condition tells when that began, long after the analysis did.
    if promoted is None or here.status.phase is Phase.WAITING_PROMOTION:
        return metric.window
    began, ends = promoted.last_update, here.soonest
    if (undisturbed := here.undisturbed_since) is not None and undisturbed > began:
        began, ends = undisturbed, max(ends, undisturbed + here.interval)
    lasted = ends - began
    if parse_prometheus_duration(metric.window) <= lasted:
        return metric.window
    return f"{max(1, math.ceil(lasted.total_seconds()))}s"


def _no_values(here: Situation, check: Check, reason: str) -> Held:
    if check.source is not None:
        message = f"Halt advancement no values found for custom metric: {check.metric}: {reason}"
    elif check.measure is Measure.CUSTOM:
        message = f"Halt advancement no values found for metric: {check.metric}"
    else:
        message = (
            f"Halt advancement no values found for {provider_of(here)} metric {check.metric}"
            f" probably {here.target_name} is not receiving traffic"
        )
    if check.measure is Measure.SUCCESS_RATE:
        message += f": {reason}"
    return Held(
        message=message,
        refusal=Refusal.NO_VALUES,
        remedy=f"{check.field}: send traffic to the canary during its analysis, or mend the query",
        counts=check.no_data is not NoDataPolicy.HOLD,
    )


def _query_failed(check: Check, failed: QueryFailed) -> Held:
    if check.source is not None:
        return Held(
            message=f"Metric query failed for {check.metric}: {check.field}: {failed.reason}",
            refusal=Refusal.METRICS_UNREACHABLE if failed.retriable else Refusal.QUERY_REFUSED,
            remedy=f"mend {check.source.name}, or what it names",
        )
    about = f" for {check.metric}" if check.measure is Measure.CUSTOM else ""
    if failed.retriable:
        return Held(
            message=f"Prometheus query failed{about}: {check.field}: {failed.reason}",
            refusal=Refusal.METRICS_UNREACHABLE,
            remedy="spec.metricsServer or the flag --metrics-server must name a Prometheus that answers",
        )
    return Held(
        message=f"Prometheus query failed{about}: {check.field}: {failed.reason}",
        refusal=Refusal.QUERY_REFUSED,
        remedy=f"mend {check.field}",
    )
