"""Plain Kubernetes, which routes by no weights: the apex service is the primary's (blue/green), or pods are shared out.

Where a canary asks for it (`analysis.replicaRatio`), a weight is the canary's share of the pods: more of the target's
first, and as many of the primary's go once those are available. For work that comes by a queue rather than by requests.
"""

from __future__ import annotations

from rollout.api.kinds import Kind
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.objects.metadata import primary_name
from rollout.delivery.routing.router import TOTAL, Lookup, Split, Weights
from rollout.delivery.targets import DEPLOYMENTS, target_of
from rollout.kube.objects import Object, annotations_of

REPLICAS = "rollout.dev/replicas"
"""The annotation of a primary that has fewer pods than it is to have: how many those are."""


class KubernetesRouter:
    """Moves no traffic: a canary is judged beside a primary that serves everybody."""

    def kinds(self) -> tuple[Kind, ...]:
        """None."""
        return ()

    def routes(self, canary: Object, seen: Lookup, split: Split) -> tuple[Apply, ...]:  # noqa: ARG002
        """None: the services say it all."""
        return ()

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:  # noqa: ARG002
        """Everything is the primary's."""
        return Weights.of_canary(0)

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:  # noqa: ARG002
        """Nothing but the apex service was changed."""
        return ()

    def obstacle(self, canary: Object, seen: Lookup) -> str:  # noqa: ARG002
        """Never any."""
        return ""


class ReplicaRouter(KubernetesRouter):
    """A weight is a share of the pods that the primary had before; each side keeps at least one."""

    def routes(self, canary: Object, seen: Lookup, split: Split) -> tuple[Apply, ...]:
        """The target's pods, and the primary's once those are available: never fewer than there were."""
        target, primary = _workloads(canary, seen)
        if target is None or primary is None:
            return ()
        total, share = full_replicas(primary), split.weights.canary
        if not share:
            return (
                (_scaled(canary, primary, total, None),)
                if REPLICAS in annotations_of(primary)
                else ()
            )
        wanted = pods(total, share)
        grown = _scaled(canary, target, wanted)
        if not _available(target, wanted):
            return (grown,)
        return grown, _scaled(canary, primary, max(1, total - wanted), str(total))

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:
        """The shares of the pods that are asked for."""
        target, primary = _workloads(canary, seen)
        if target is None or primary is None:
            return None
        both = DEPLOYMENTS.pods(target) + DEPLOYMENTS.pods(primary)
        return Weights.of_canary(round(TOTAL * DEPLOYMENTS.pods(target) / both) if both else 0)

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:
        """The primary gets back its pods, in case that it stays."""
        return self.routes(canary, seen, Split(weights=Weights.of_canary(0)))


def full_replicas(primary: Object) -> int:
    """How many pods a primary has while no canary takes some of them."""
    text = annotations_of(primary).get(REPLICAS, "")
    return int(text) if text.isdecimal() and int(text) else DEPLOYMENTS.pods(primary)


def pods(total: int, share: int) -> int:
    """How many of `total` pods are the canary's at this share in percent, at least one."""
    return max(1, min(total, (total * share + TOTAL // 2) // TOTAL))


def _workloads(canary: Object, seen: Lookup) -> tuple[Object | None, Object | None]:
    name, kind = canary["spec"]["targetRef"]["name"], target_of(canary).kind
    return seen(kind, name), seen(kind, primary_name(name))


def _available(target: Object, wanted: int) -> bool:
    status = target.get("status") or {}
    current = (status.get("observedGeneration") or 0) >= target["metadata"].get("generation", 0)
    counted = (status.get("updatedReplicas") or 0, status.get("availableReplicas") or 0)
    return current and DEPLOYMENTS.pods(target) == wanted and min(counted) >= wanted


def _scaled(canary: Object, workload: Object, replicas: int, total: str | None = "") -> Apply:
    metadata: Object = {k: workload["metadata"][k] for k in ("name", "namespace")}
    if total != "":
        metadata["annotations"] = {REPLICAS: total}
    return Apply(target_of(canary).kind, {"metadata": metadata, "spec": {"replicas": replicas}})
