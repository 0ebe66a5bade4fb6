"""What is accepted but not done as written: read otherwise (`notices`), or not acted upon yet (`unsupported`).

One table each, so that nothing is silently ignored. Knows the Canary, not how it is reconciled.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from rollout.api.canary.resource import Canary
from rollout.api.durations import format_go_duration
from rollout.api.errors import FieldError


class _Row(NamedTuple):
    path: str
    remedy: str
    acted_upon: tuple[object, ...] = ()


_ISTIO_ONLY = "remove it, or set provider to istio"
_NOT_YET: tuple[_Row, ...] = (
    _Row("spec.provider", "use istio", ("istio",)),
    _Row("spec.targetRef.kind", "use a Deployment", ("Deployment",)),
    _Row("spec.autoscalerRef", "remove it; the primary keeps the replicas that the target has"),
    _Row("spec.ingressRef", _ISTIO_ONLY),
    _Row("spec.routeRef", _ISTIO_ONLY),
    _Row("spec.upstreamRef", _ISTIO_ONLY),
    _Row("spec.service.headless", "remove it"),
    _Row("spec.service.trafficDistribution", "remove it"),
    _Row("spec.service.backendTimeout", "use timeout and retries.perTryTimeout"),
    _Row("spec.service.meshName", "remove it"),
    _Row("spec.service.backends", "remove it"),
    _Row("spec.service.gatewayRefs", "use gateways"),
    _Row("spec.service.delegation", "use hosts and gateways"),
    _Row("spec.service.mirror", "remove it"),
    _Row("spec.service.rewrite.type", "remove it; Istio rewrites the prefix that matched"),
    _Row("spec.service.unmanagedMetadata", "remove it"),
    _Row("spec.analysis.iterations", "use stepWeight or stepWeights"),
    _Row("spec.analysis.match", "remove it; every request takes part"),
    _Row("spec.analysis.mirror", "remove it"),
    _Row("spec.analysis.mirrorWeight", "remove it"),
    _Row("spec.analysis.sessionAffinity", "remove it"),
)


def unsupported(canary: Canary) -> tuple[FieldError, ...]:
    """Fields that are valid and set, but that this version does not act upon."""
    spec = {"spec": canary.spec.dump()}
    return tuple(
        FieldError(
            path,
            f"{value!r} is not supported yet" if row.acted_upon else "is not supported yet",
            row.remedy,
        )
        for row in _NOT_YET
        for path, value in _values(spec, row.path.split("."), "")
        if value and value not in row.acted_upon
    )


def notices(
    canary: Canary, minimum_interval: timedelta = timedelta(seconds=10)
) -> tuple[FieldError, ...]:
    """Values that are read as others, as Flagger does, each with the value that holds."""
    return tuple(_notices(canary, minimum_interval))


def _notices(canary: Canary, minimum: timedelta) -> Iterator[FieldError]:
    analysis = canary.spec.analysis
    if analysis.interval < minimum:
        yield FieldError(
            "spec.analysis.interval",
            f"{analysis.interval.text} is raised to {format_go_duration(minimum)}",
            "give at least as much, or lower the controller's minimum",
        )
    if analysis.threshold < 1:
        yield FieldError(
            "spec.analysis.threshold", f"{analysis.threshold} is read as 1", "give 1 or more"
        )
    if analysis.max_weight == 0:
        yield FieldError("spec.analysis.maxWeight", "0 is read as 100", "give 1 to 100")
    if analysis.step_weights and analysis.max_weight:
        yield FieldError(
            "spec.analysis.maxWeight",
            "is not used: stepWeights ends with the greatest",
            "remove it",
        )
    for index, metric in enumerate(analysis.metrics):
        path = f"spec.analysis.metrics[{index}]"
        if metric.threshold_range is None and metric.threshold is None:
            yield FieldError(path, "has no thresholdRange, which is read as threshold 0", "add one")
        if metric.threshold_range is not None and metric.threshold is not None:
            yield FieldError(f"{path}.threshold", "is not used: thresholdRange holds", "remove it")
        if metric.builtin and metric.query:
            yield FieldError(
                f"{path}.query", f"is not used: {metric.name} is built in", "rename the metric"
            )


def _values(value: Any, parts: list[str], path: str) -> Iterator[tuple[str, Any]]:
    if not parts:
        yield path, value
        return
    name = parts[0].removesuffix("[]")
    if not isinstance(value, dict) or name not in value:
        return
    inner = f"{path}.{name}" if path else name
    if not parts[0].endswith("[]"):
        yield from _values(value[name], parts[1:], inner)
        return
    for index, item in enumerate(value[name]):
        yield from _values(item, parts[1:], f"{inner}[{index}]")
