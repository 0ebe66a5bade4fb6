"""Which checks a canary's step depends on, and what their answers mean for it, in the words of Flagger's events. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.api.canary import CanaryMetric
from rollout.delivery.refusals import Refusal
from rollout.delivery.situation import Situation
from rollout.judge.checks import Check, NoData, QueryFailed
from rollout.judge.queries import BUILTIN, METRIC_NAMES, TemplateError, Variables, render_query
from rollout.judge.thresholds import Bounds, Fail, Measure, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A check that holds the canary: what its event says and, where something may have to be mended, its condition."""

    message: str
    refusal: Refusal | None = None
    remedy: str = ""


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
    for index, metric in enumerate(here.canary.spec.analysis.metrics):
        path = f"spec.analysis.metrics[{index}]"
        try:
            checks.extend(_checks_of(here, metric, path))
        except TemplateError as error:
            message = f"Metric query failed for {metric.name}: {path}.query: {error}"
            return Plan(
                broken=Held(
                    message=message, refusal=Refusal.QUERY_REFUSED, remedy=f"mend {path}.query"
                )
            )
    return Plan(checks=tuple(checks))


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


def _checks_of(here: Situation, metric: CanaryMetric, path: str) -> Iterator[Check]:
    if (measure := METRIC_NAMES.get(metric.name)) is not None:
        template = BUILTIN[provider_of(here)][measure]
        yield _check(here, metric, measure, template, path)
    if metric.query:
        yield _check(here, metric, Measure.CUSTOM, metric.query, f"{path}.query")


def _check(
    here: Situation, metric: CanaryMetric, measure: Measure, template: str, path: str
) -> Check:
    canary = here.canary
    ingress, route = canary.spec.ingress_ref, canary.spec.route_ref
    variables = Variables(
        name=canary.name,
        namespace=canary.namespace,
        target=canary.target_name,
        service=canary.apex_name,
        ingress=ingress.name if ingress else canary.target_name,
        route=route.name if route else canary.target_name,
        interval=metric.window,
        variables=metric.template_variables,
    )
    allowed = metric.threshold_range
    bounds = (
        Bounds.of_threshold(measure, metric.threshold or 0)
        if allowed is None
        else Bounds(min=allowed.min, max=allowed.max)
    )
    return Check(
        metric=metric.name,
        measure=measure,
        query=render_query(template, variables),
        bounds=bounds,
        address=metrics_address(here),
        field=path,
    )


def _no_values(here: Situation, check: Check, reason: str) -> Held:
    if check.measure is Measure.CUSTOM:
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
    )


def _query_failed(check: Check, failed: QueryFailed) -> Held:
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
