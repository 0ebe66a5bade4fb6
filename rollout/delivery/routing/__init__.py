"""Where a canary's traffic goes: one module per kind of route, each behind the same small protocol.

A new router is one module and one line in a table. Knows nothing of phases.
"""

from __future__ import annotations

from rollout.api.canary import GATEWAY_API, ISTIO, KUBERNETES, canonical
from rollout.api.kinds import GRPC_ROUTE, HTTP_ROUTE, VIRTUAL_SERVICE, Kind
from rollout.delivery.routing.existing import ExistingRouter
from rollout.delivery.routing.gatewayapi import GatewayApiRouter
from rollout.delivery.routing.istio import IstioRouter
from rollout.delivery.routing.kubernetes import KubernetesRouter, ReplicaRouter
from rollout.delivery.routing.router import Router
from rollout.kube.objects import Object

_ROUTERS: dict[str, Router] = {
    GATEWAY_API: GatewayApiRouter(),
    ISTIO: IstioRouter(),
    KUBERNETES: KubernetesRouter(),
}
_EXISTING: dict[str, Router] = {
    kind.kind: ExistingRouter(kind) for kind in (VIRTUAL_SERVICE, HTTP_ROUTE, GRPC_ROUTE)
}
_REPLICAS = ReplicaRouter()


def router_for(provider: str) -> Router | None:
    """The router of a `spec.provider`, or None where this version has none."""
    return _ROUTERS.get(canonical(provider))


def router_of(canary: Object, mesh_provider: str) -> Router | None:
    """The router of a canary, which may not be valid; None where this version has none."""
    spec = canary.get("spec") or {}
    if router := _EXISTING.get(str((spec.get("routeRef") or {}).get("kind"))):
        return router
    router = router_for(str(spec.get("provider") or mesh_provider))
    shares_pods = (spec.get("analysis") or {}).get("replicaRatio")
    return _REPLICAS if shares_pods and isinstance(router, KubernetesRouter) else router


def routed_kinds() -> tuple[Kind, ...]:
    """Every kind that some router reads, each once."""
    routers = (*_ROUTERS.values(), *_EXISTING.values())
    return tuple(dict.fromkeys(kind for router in routers for kind in router.kinds()))
