"""DestinationRules to destination policies: subsets and the way an endpoint is chosen."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.api.istio.destinationrule import DestinationRule, TrafficPolicy
from rollout.mesh.ingest.hosts import resolve
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.routing import Balancer, DestinationPolicy, Subset

_REMEDY = "remove it, or wait for a version that acts upon it"
_BALANCERS = {
    "ROUND_ROBIN": Balancer.ROUND_ROBIN,
    "LEAST_CONN": Balancer.LEAST_REQUEST,
    "LEAST_REQUEST": Balancer.LEAST_REQUEST,
    "RANDOM": Balancer.RANDOM,
}
_LATER = {
    "connection_pool": "connectionPool",
    "outlier_detection": "outlierDetection",
    "tls": "tls",
    "port_level_settings": "portLevelSettings",
}


def destination_policy(parsed: DestinationRule) -> tuple[DestinationPolicy, list[Problem]]:
    """The policy, and what of the rule is not acted upon."""
    ref = Ref("DestinationRule", parsed.namespace, parsed.name)
    spec = parsed.spec
    problems = [Problem(ref, f.path, f.reason, f.remedy or _REMEDY) for f in parsed.unknown_fields]
    problems += _unsupported(ref, "spec.trafficPolicy", spec.traffic_policy)
    for index, subset in enumerate(spec.subsets):
        path = f"spec.subsets[{index}].trafficPolicy"
        problems += _unsupported(ref, path, subset.traffic_policy)
    policy = DestinationPolicy(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        host=resolve(spec.host, parsed.namespace),
        balancer=_balancer(spec.traffic_policy),
        subsets=tuple(
            Subset(
                name=subset.name,
                labels=frozenset(subset.labels.items()),
                balancer=_balancer(subset.traffic_policy),
            )
            for subset in spec.subsets
        ),
    )
    return policy, problems


def _balancer(policy: TrafficPolicy | None) -> Balancer | None:
    if policy is None or policy.load_balancer is None or policy.load_balancer.simple is None:
        return None
    return _BALANCERS.get(policy.load_balancer.simple)


def _unsupported(ref: Ref, path: str, policy: TrafficPolicy | None) -> Iterator[Problem]:
    if policy is None:
        return
    for name, field in _LATER.items():
        if getattr(policy, name):
            yield Problem(ref, f"{path}.{field}", "is not acted upon by this version", _REMEDY)
    balancer = policy.load_balancer
    if balancer is None:
        return
    for name in ("consistent_hash", "locality_lb_setting", "warmup_duration_secs"):
        if getattr(balancer, name):
            head, *rest = name.split("_")
            camel = head + "".join(word.title() for word in rest)
            field = f"{path}.loadBalancer.{camel}"
            yield Problem(ref, field, "is not acted upon by this version", _REMEDY)
    if balancer.simple == "PASSTHROUGH":
        field = f"{path}.loadBalancer.simple"
        yield Problem(ref, field, "PASSTHROUGH is not acted upon by this version", _REMEDY)
