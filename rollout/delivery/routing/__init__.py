"""Where a canary's traffic goes: one module per kind of route, each behind the same small protocol.

A new router is one module and one line in the table of `router_for`. Knows nothing of phases.
"""

from __future__ import annotations

from rollout.delivery.routing.istio import IstioRouter
from rollout.delivery.routing.router import Router

_ROUTERS: dict[str, Router] = {"istio": IstioRouter()}

SUPPORTED_PROVIDERS = tuple(sorted(_ROUTERS))


def router_for(provider: str) -> Router | None:
    """The router of a `spec.provider`, or None where this version has none."""
    return _ROUTERS.get(provider)
