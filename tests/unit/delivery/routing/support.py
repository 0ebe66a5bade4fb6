"""Canaries and routes that the routers' tests share."""

from __future__ import annotations

import copy
from typing import Any

from rollout.api.kinds import HTTP_ROUTE, Kind
from rollout.kube.objects import Object
from tests.unit.delivery.world import canary


def gatewayed(**service: Any) -> Object:
    """The book's canary behind a Gateway; keywords add to its service."""
    made = canary(provider="gatewayapi:v1")
    made["metadata"]["uid"] = "uid-canary"
    made["spec"]["service"] = {
        "name": "catalog",
        "port": 80,
        "targetPort": 3000,
        "hosts": ["shop.example"],
        "gatewayRefs": [{"name": "public", "namespace": "gateways"}],
        **service,
    }
    return made


def http_route(*rules: Object, name: str = "catalog", **metadata: Any) -> Object:
    """Somebody's HTTPRoute with these rules, accepted."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "generation": 1,
            "resourceVersion": "7",
            **metadata,
        },
        "spec": {"parentRefs": [{"name": "theirs"}], "rules": list(rules)},
        "status": {
            "parents": [
                {
                    "parentRef": {"name": "theirs"},
                    "conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 1}],
                }
            ]
        },
    }


def backend(name: str, weight: int | None = None, **more: Any) -> Object:
    """A backend as the API server defaults it."""
    weighted = {} if weight is None else {"weight": weight}
    return {"group": "", "kind": "Service", "name": name, "port": 80, **weighted, **more}


def served(obj: Object | None, kind: Kind = HTTP_ROUTE) -> Any:
    """A lookup that finds this object alone."""
    frozen = copy.deepcopy(obj)
    return lambda asked, _: frozen if asked == kind else None
