"""What is accepted but not done as written: read otherwise (`notices`), or not acted upon yet (`unsupported`).

One table each, so that nothing is silently ignored. Knows the Canary, not how it is reconciled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from pydantic.alias_generators import to_camel

from rollout.api.canary.resource import Canary
from rollout.api.durations import format_go_duration
from rollout.api.errors import FieldError

ISTIO: Final = "istio"
GATEWAY_API: Final = "gatewayapi:v1"
KUBERNETES: Final = "kubernetes"
_SAME_AS: Mapping[str, str] = {"gatewayapi:v1beta1": GATEWAY_API}
SUPPORTED_PROVIDERS: Final = (GATEWAY_API, ISTIO, KUBERNETES)
"""The providers that there are routers for."""


def canonical(provider: str) -> str:
    """The provider under the name that it has here: HTTPRoutes of v1beta1 are read and written as v1."""
    return _SAME_AS.get(provider, provider)


class _Row(NamedTuple):
    """A field that is not acted upon, but for some values or with some providers."""

    path: str
    remedy: str
    acted_upon: tuple[object, ...] = ()
    providers: tuple[str, ...] = ()


_ISTIO_ONLY = "remove it, or set provider to istio"
_GATEWAY_API_ONLY = f"remove it, or set provider to {GATEWAY_API}"
_ROUTED = (ISTIO, GATEWAY_API)
_EXISTING = "routeRef"
_NO_CORS = (ISTIO, KUBERNETES, _EXISTING)
_WEIGHTS_ONLY = "remove it: of the route that routeRef names, only weights are set"
_NOT_YET: tuple[_Row, ...] = (
    _Row(
        "spec.provider", f"use {', '.join(SUPPORTED_PROVIDERS)}", (*SUPPORTED_PROVIDERS, *_SAME_AS)
    ),
    _Row("spec.ingressRef", _ISTIO_ONLY),
    _Row(
        "spec.routeRef.kind",
        "use VirtualService, HTTPRoute or GRPCRoute",
        ("VirtualService", "HTTPRoute", "GRPCRoute"),
    ),
    _Row("spec.upstreamRef", _ISTIO_ONLY),
    _Row(
        "spec.service.backendTimeout",
        "use timeout and retries.perTryTimeout",
        providers=(GATEWAY_API,),
    ),
    _Row("spec.service.meshName", "remove it"),
    _Row("spec.service.backends", "remove it"),
    _Row("spec.service.gatewayRefs", _GATEWAY_API_ONLY, providers=(GATEWAY_API,)),
    _Row("spec.service.gateways", _ISTIO_ONLY, providers=(ISTIO,)),
    _Row("spec.service.delegation", _ISTIO_ONLY, providers=(ISTIO,)),
    _Row("spec.service.trafficPolicy", _ISTIO_ONLY, providers=(ISTIO,)),
    _Row("spec.service.retries", _ISTIO_ONLY, providers=(ISTIO,)),
    _Row("spec.service.rewrite.uriRegexRewrite", _ISTIO_ONLY, providers=(ISTIO,)),
    _Row("spec.service.mirror", _GATEWAY_API_ONLY, providers=(GATEWAY_API,)),
    _Row("spec.service.rewrite.type", _GATEWAY_API_ONLY, providers=(GATEWAY_API,)),
    *(
        _Row(f"spec.service.{field}", _ISTIO_ONLY, providers=_ROUTED)
        for field in ("hosts", "match", "rewrite", "timeout", "headers", "corsPolicy")
    ),
    *(
        _Row(f"spec.service.corsPolicy.allowOrigins[].{match}", "use exact", providers=_NO_CORS)
        for match in ("prefix", "regex")
    ),
    _Row("spec.service.corsPolicy.unmatchedPreflights", _ISTIO_ONLY, providers=_NO_CORS),
    _Row("spec.analysis.match", _ISTIO_ONLY, providers=_ROUTED),
    _Row("spec.analysis.match[].sourceLabels", _ISTIO_ONLY, providers=(ISTIO, KUBERNETES)),
    _Row("spec.analysis.mirror", _ISTIO_ONLY, providers=_ROUTED),
    _Row("spec.analysis.mirrorWeight", _ISTIO_ONLY, providers=_ROUTED),
    *(
        _Row(f"spec.service.match[].{field}", _ISTIO_ONLY, providers=(ISTIO, KUBERNETES, _EXISTING))
        for field in (
            *("scheme", "authority", "withoutHeaders", "port", "sourceLabels", "sourceNamespace"),
            *("gateways", "ignoreUriCase", "method.prefix", "method.regex"),
        )
    ),
    _Row("spec.analysis.sessionAffinity", _ISTIO_ONLY, providers=_ROUTED),
    _Row(
        "spec.analysis.judge",
        f"use provider {ISTIO} or {GATEWAY_API}: nothing else sends both arms the same requests",
        providers=(ISTIO, GATEWAY_API, _EXISTING),
    ),
)


def unsupported(canary: Canary, mesh_provider: str = ISTIO) -> tuple[FieldError, ...]:
    """Fields that are valid and set, but that this version does not act upon.

    `mesh_provider` is the controller's, for canaries that name none.
    """
    spec = {"spec": canary.spec.dump()}
    provider = canonical(canary.spec.provider or mesh_provider)
    if canary.spec.route_ref is not None:
        provider = _EXISTING
    found = tuple(
        FieldError(
            path,
            f"{value!r} is not supported yet" if row.acted_upon else "is not supported yet",
            _WEIGHTS_ONLY if provider == _EXISTING and row.providers else row.remedy,
        )
        for row in _NOT_YET
        for path, value in _values(spec, row.path.split("."), "")
        if value and value not in row.acted_upon and provider not in row.providers
    )
    return (*found, *_of_target(canary, provider), *_without_requests(canary))


_OF_GENERATED_SERVICES = ("target_port", "port_name", "port_discovery", "traffic_distribution")


def _of_target(canary: Canary, provider: str) -> Iterator[FieldError]:
    """What the target's kind has no use for, or cannot do."""
    spec, ref = canary.spec, canary.spec.target_ref
    if ref.kind == "Service" and ref.api_version != "v1":
        reason = f"{ref.api_version!r} is not supported yet"
        yield FieldError("spec.targetRef.apiVersion", reason, "use a Service of v1, or a workload")
    if ref.kind not in {"DaemonSet", "Service"}:
        return
    if spec.autoscaler_ref:
        reason = f"is not acted upon: a {ref.kind} has no replicas"
        yield FieldError("spec.autoscalerRef", reason, "remove it")
    if spec.analysis.replica_ratio:
        reason = f"is not for a {ref.kind}, which has no replicas"
        yield FieldError("spec.analysis.replicaRatio", reason, "use stepWeight alone")
    if ref.kind == "DaemonSet":
        return
    if provider == KUBERNETES:
        reason = "'Service' needs routes, which provider kubernetes does not write"
        yield FieldError("spec.targetRef.kind", reason, f"use {GATEWAY_API} or {ISTIO}")
    if canary.apex_name != canary.target_name:
        reason = f"{canary.apex_name!r} is not the target, which is the service that callers use"
        yield FieldError("spec.service.name", reason, "remove it")
    if spec.analysis.judge:
        reason = "is not for a Service, whose pods are not known by its labels"
        yield FieldError("spec.analysis.judge", reason, "use a workload, or remove it")
    for field in (*_OF_GENERATED_SERVICES, "headless"):
        if getattr(canary.service, field):
            reason = "is not acted upon: the target is a Service, whose copies are as it is"
            yield FieldError(f"spec.service.{to_camel(field)}", reason, "remove it")


def _without_requests(canary: Canary) -> Iterator[FieldError]:
    """What an analysis asks of requests, on a port that has connections only."""
    analysis = canary.spec.analysis
    if (canary.service.app_protocol or "").lower() != "tcp":
        return
    if analysis.match:
        reason = "'tcp' has no requests that spec.analysis.match could choose from"
        yield FieldError("spec.service.appProtocol", reason, "remove one of them")
    for name, given in (
        ("mirror", analysis.mirror),
        ("sessionAffinity", analysis.session_affinity),
        ("judge", analysis.judge),
    ):
        if given:
            reason = "is not acted upon where spec.service.appProtocol is tcp"
            yield FieldError(f"spec.analysis.{name}", reason, "remove it")


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
        judged = metric.direction or (metric.builtin and analysis.judge)
        if not judged and metric.threshold_range is None and metric.threshold is None:
            yield FieldError(path, "has no thresholdRange, which is read as threshold 0", "add one")
        if metric.threshold_range is not None and metric.threshold is not None:
            yield FieldError(f"{path}.threshold", "is not used: thresholdRange holds", "remove it")


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
