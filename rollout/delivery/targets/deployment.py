"""Deployments. The rules and sentences of their readiness are Flagger's; two are added: a rollout that keeps some old pod
available but never finishes is stuck once the deadline passed since the canary last moved, and the moment at which waiting
turns into being stuck is answered, so that nobody has to poll for it.
"""

from __future__ import annotations

from rollout.api.kinds import DEPLOYMENT
from rollout.delivery.readiness import Readiness, Ready, Stuck, Waiting, unfinished, unobserved
from rollout.delivery.status import parse_time
from rollout.delivery.targets.target import Patience
from rollout.delivery.targets.workload import Workload
from rollout.kube.objects import Object


class DeploymentTarget(Workload):
    """`apps/v1` Deployments."""

    kind = DEPLOYMENT
    names_pods = False
    promoted_fields = (
        "progressDeadlineSeconds",
        "minReadySeconds",
        "revisionHistoryLimit",
        "strategy",
    )

    def readiness(self, workload: Object, patience: Patience) -> Readiness:
        """Read from its status alone."""
        status, now = workload.get("status") or {}, patience.now
        until = patience.since + patience.deadline
        if message := unobserved(workload, self.kind):
            # Nothing in the status speaks of this generation yet, a passed deadline included.
            return Waiting(message, max(until, now + patience.deadline))
        if _condition(status, "Progressing").get("reason") == "ProgressDeadlineExceeded":
            return Stuck(
                f'deployment "{workload["metadata"]["name"]}" exceeded its progress deadline'
            )
        message = unfinished(self.pods(workload), status, patience.threshold)
        if not message:
            return Ready()
        available = _condition(status, "Available")
        if (
            available.get("status") == "False"
            and available.get("reason") == "MinimumReplicasUnavailable"
        ):
            lost = parse_time(available.get("lastUpdateTime"))
            until = max(patience.since, lost) + patience.deadline if lost else until
        return Stuck(message) if now >= until else Waiting(message, until)


def _condition(status: Object, type_: str) -> Object:
    conditions: list[Object] = status.get("conditions") or []
    return next((c for c in conditions if c.get("type") == type_), {})
