"""Whether Gateways have taken a route: only then does its traffic go where it says (`status.parents`, Gateway API)."""

from __future__ import annotations

from rollout.api.kinds import VIRTUAL_SERVICE, Kind
from rollout.kube.objects import Object


def not_accepted(kind: Kind, served: Object) -> str:
    """Why a served route is not in force yet, with the remedy; empty where every parent accepts its present generation."""
    if kind == VIRTUAL_SERVICE:
        return ""
    metadata = served["metadata"]
    what = f"{kind.kind} {metadata['namespace']}/{metadata['name']}"
    parents = (served.get("status") or {}).get("parents") or ()
    if not parents:
        return f"{what}: no Gateway has accepted it yet (do its parentRefs name a Gateway that is served?)"
    for parent in parents:
        ref = parent.get("parentRef") or {}
        gateway = f"{ref.get('kind') or 'Gateway'} {ref.get('name', '')}"
        accepted: Object = next(
            (c for c in parent.get("conditions") or () if c.get("type") == "Accepted"), {}
        )
        if accepted.get("status") != "True":
            why = ": ".join(str(accepted[k]) for k in ("reason", "message") if accepted.get(k))
            return f"{what}: {gateway} does not accept it{f': {why}' if why else ''} (mend the route or the Gateway)"
        if (accepted.get("observedGeneration") or 0) < metadata.get("generation", 0):
            return f"{what}: {gateway} has not seen its present generation yet (is its controller running?)"
    return ""
