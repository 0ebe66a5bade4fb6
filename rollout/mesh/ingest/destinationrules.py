"""DestinationRules to destination policies: subsets, and how endpoints are treated."""

from __future__ import annotations

from rollout.api.istio import destinationrule as api
from rollout.mesh.ingest.hosts import exported, resolve
from rollout.mesh.ingest.trafficpolicies import Reader
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.traffic import DestinationPolicy, Subset

_REMEDY = "remove it, or wait for a version that acts upon it"


def destination_policy(parsed: api.DestinationRule) -> tuple[DestinationPolicy, list[Problem]]:
    """The policy, and what of the rule is not acted upon."""
    ref = Ref("DestinationRule", parsed.namespace, parsed.name)
    spec = parsed.spec
    reader = Reader(ref)
    policy = DestinationPolicy(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        host=resolve(spec.host, parsed.namespace),
        traffic=reader.ported("spec.trafficPolicy", spec.traffic_policy),
        subsets=tuple(
            Subset(
                name=subset.name,
                labels=frozenset(subset.labels.items()),
                traffic=reader.ported(f"spec.subsets[{i}].trafficPolicy", subset.traffic_policy),
            )
            for i, subset in enumerate(spec.subsets)
        ),
        exported=exported(spec.export_to, parsed.namespace),
    )
    unknown = [Problem(ref, f.path, f.reason, f.remedy or _REMEDY) for f in parsed.unknown_fields]
    return policy, unknown + reader.close()
