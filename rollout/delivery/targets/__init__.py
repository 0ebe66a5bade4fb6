"""What can be delivered: one module per kind of target, each behind the same small protocol.

A new kind is one module and one line in a table. Knows nothing of phases.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollout.api.kinds import Kind
from rollout.delivery.targets.daemonset import DaemonSetTarget
from rollout.delivery.targets.deployment import DeploymentTarget
from rollout.delivery.targets.service import ServiceTarget
from rollout.delivery.targets.statefulset import StatefulSetTarget
from rollout.delivery.targets.target import Target
from rollout.kube.objects import Object

DEPLOYMENTS = DeploymentTarget()
TARGETS: Mapping[Kind, Target] = {
    each.kind: each
    for each in (DEPLOYMENTS, DaemonSetTarget(), StatefulSetTarget(), ServiceTarget())
}
"""By what they are to the API server."""
WORKLOADS: tuple[Kind, ...] = tuple(kind for kind, each in TARGETS.items() if each.makes_pods)
"""Those that make pods."""
_BY_WORD: Mapping[str, Target] = {kind.kind: each for kind, each in TARGETS.items()}


def target_of(canary: Object) -> Target:
    """The kind of a canary's target; Deployment for a canary, not yet validated, that names no other known one."""
    ref = (canary.get("spec") or {}).get("targetRef")
    word = ref.get("kind") if isinstance(ref, dict) else None
    return _BY_WORD.get(str(word), DEPLOYMENTS)
