"""A canary as its provider can carry it out. Plain Kubernetes routes by nothing, so everything becomes a blue/green test
there, as with Flagger; shares of pods are the exception.
"""

from __future__ import annotations

from typing import Any

from rollout.api.canary.resource import Canary
from rollout.api.canary.support import KUBERNETES, canonical

_ITERATIONS = 10
_NO_AB_TEST = "A/B testing is not supported when using the kubernetes provider"
_NO_SHARES = "Progressive traffic is not supported when using the kubernetes provider"


def effective(canary: Canary, mesh_provider: str) -> tuple[Canary, tuple[str, ...]]:
    """The canary that is acted upon, with what its author has to be told, in Flagger's words.

    `mesh_provider` is the controller's, for canaries that name none.
    """
    analysis = canary.spec.analysis
    if canonical(canary.spec.provider or mesh_provider) != KUBERNETES or canary.spec.route_ref:
        return canary, ()
    changes: dict[str, Any] = {"match": (), "mirror": False, "session_affinity": None}
    told = [_NO_AB_TEST] if analysis.match else []
    if not (analysis.iterations or analysis.replica_ratio):
        told += [_NO_SHARES, f"Setting canaryAnalysis.iterations: {_ITERATIONS}"]
        changes |= {"iterations": _ITERATIONS, "step_weight": None, "step_weights": None}
    if not analysis.replica_ratio:
        changes["step_weight_promotion"] = None
    spec = canary.spec.model_copy(
        update={"provider": KUBERNETES, "analysis": analysis.model_copy(update=changes)}
    )
    return canary.model_copy(update={"spec": spec}), tuple(told)
