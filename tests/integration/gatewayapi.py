"""Gateway API's own CRDs, as released with its Go module, on a test's API server."""

from __future__ import annotations

from functools import cache

import yaml

from e2e.cluster.build import module_directory
from rollout.api.kinds import (
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    KUBERNETES_GATEWAY,
    REFERENCE_GRANT,
    Kind,
)
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.crds import installed

_MODULE = "sigs.k8s.io/gateway-api"


_ROUTES = (HTTP_ROUTE, GRPC_ROUTE)
GATEWAYS = (GATEWAY_CLASS, KUBERNETES_GATEWAY, REFERENCE_GRANT)


@cache
def route_crds(channel: str = "standard", kinds: tuple[Kind, ...] = _ROUTES) -> tuple[Object, ...]:
    """Of HTTPRoute and GRPCRoute, unless others are asked for."""
    directory = module_directory("conformance", _MODULE) / "config" / "crd" / channel
    return tuple(
        yaml.safe_load((directory / f"{kind.group}_{kind.plural}.yaml").read_text())
        for kind in kinds
    )


async def install_gateway_api(
    client: Client, channel: str = "standard", kinds: tuple[Kind, ...] = _ROUTES
) -> None:
    """Create what is missing, and wait until it is served."""
    for crd in route_crds(channel, kinds):
        await installed(client, crd)
