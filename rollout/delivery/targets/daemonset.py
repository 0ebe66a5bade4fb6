"""DaemonSets: one pod per node, so that one is scaled to zero by a node selector that no node satisfies, as Flagger does.

That selector is this program's, not its author's: it is no part of the template that counts as a revision.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.api.kinds import DAEMON_SET
from rollout.delivery.readiness import Readiness, Ready, Stuck, Waiting, unobserved
from rollout.delivery.targets.target import Patience
from rollout.delivery.targets.workload import Workload
from rollout.kube.objects import Object

SCALED_TO_ZERO = "flagger.app/scale-to-zero"
"""The label in the node selector of a DaemonSet that is to have no pods."""


class DaemonSetTarget(Workload):
    """`apps/v1` DaemonSets."""

    kind = DAEMON_SET
    promoted_fields = ("minReadySeconds", "revisionHistoryLimit", "updateStrategy")

    def unusable(self, target: Object) -> str:
        """That it does not roll by itself, or that two of its pods cannot be on one node."""
        strategy = (target["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
        if strategy != "RollingUpdate":
            return f"spec.updateStrategy.type is {strategy} (use RollingUpdate)"
        if port := next(_host_ports(target["spec"]["template"]["spec"]), 0):
            return (
                f"its pods have port {port} of their nodes, which the primary's cannot have as well"
                " (remove hostPort and hostNetwork; a Service reaches the pods)"
            )
        return ""

    def template(self, target: Object) -> Object:
        """Without the selector that scales it to zero."""
        template: Object = target["spec"]["template"]
        spec = template.get("spec") or {}
        selector = {
            k: v for k, v in (spec.get("nodeSelector") or {}).items() if k != SCALED_TO_ZERO
        }
        kept = {k: v for k, v in spec.items() if k != "nodeSelector"}
        return {**template, "spec": {**kept, **({"nodeSelector": selector} if selector else {})}}

    def pods(self, workload: Object) -> int:
        """One where it may have pods on nodes: how many there are is not its author's to say."""
        selector = workload["spec"]["template"]["spec"].get("nodeSelector") or {}
        return int(SCALED_TO_ZERO not in selector)

    def size(self, pods: int) -> Object:  # noqa: ARG002
        """Nothing: the nodes are its size."""
        return {}

    def scaled(self, pods: int) -> Object:
        """With the selector, or without."""
        selector = {SCALED_TO_ZERO: None if pods else "true"}
        return {"spec": {"template": {"spec": {"nodeSelector": selector}}}}

    def readiness(self, workload: Object, patience: Patience) -> Readiness:
        """Read from its status alone; one without a node for its pods is not ready for anything."""
        status, now = workload.get("status") or {}, patience.now
        until = patience.since + patience.deadline
        if message := unobserved(workload, self.kind):
            return Waiting(message, max(until, now + patience.deadline))
        message = _unfinished(status, patience.threshold) if self.pods(workload) else ""
        if not message:
            return Ready()
        return Stuck(message) if now >= until else Waiting(message, until)


def _unfinished(status: Object, threshold: int) -> str:
    wanted = status.get("desiredNumberScheduled") or 0
    updated = status.get("updatedNumberScheduled") or 0
    available = status.get("numberAvailable") or 0
    needed = updated * threshold // 100
    begin = "waiting for rollout to finish:"
    if not wanted:
        return f"{begin} no node takes its pods"
    if updated < wanted:
        return f"{begin} {updated} out of {wanted} new pods have been updated"
    if available < needed:
        return f"{begin} {available} of {needed} (readyThreshold {threshold}%) updated pods are available"
    return ""


def _host_ports(spec: Object) -> Iterator[int]:
    for container in spec.get("containers") or ():
        for port in container.get("ports") or ():
            if number := port.get("hostPort"):
                yield int(number)
