"""PeerAuthentications to what workloads take."""

from __future__ import annotations

from rollout.api.istio.peerauthentication import PeerAuthentication, PeerMTLS
from rollout.mesh.model.peers import PeerMode, PeerPolicy
from rollout.mesh.model.problem import Problem, Ref

_REMEDY = "remove it, or wait for a version that acts upon it"


def peer_policy(parsed: PeerAuthentication) -> tuple[PeerPolicy, list[Problem]]:
    """The policy, and what of the object is not acted upon."""
    ref = Ref("PeerAuthentication", parsed.namespace, parsed.name)
    spec = parsed.spec
    labels = spec.selector.match_labels if spec.selector else {}
    policy = PeerPolicy(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        selector=frozenset(labels.items()),
        mode=_mode(spec.mtls),
        ports=tuple(
            (int(port), _mode(spec.port_level_mtls[port]))
            for port in sorted(spec.port_level_mtls, key=int)
        ),
    )
    return policy, [
        Problem(ref, f.path, f.reason, f.remedy or _REMEDY) for f in parsed.unknown_fields
    ]


def _mode(given: PeerMTLS | None) -> PeerMode | None:
    if given is None or given.mode in {None, "UNSET"}:
        return None
    return PeerMode(given.mode)
