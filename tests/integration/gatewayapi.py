"""Gateway API's own CRDs, as released with its Go module, on a test's API server."""

from __future__ import annotations

from functools import cache

import yaml

from e2e.cluster.build import module_directory
from rollout.api.kinds import GRPC_ROUTE, HTTP_ROUTE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.crds import installed

_MODULE = "sigs.k8s.io/gateway-api@v1.4.0"


@cache
def route_crds(channel: str = "standard") -> tuple[Object, ...]:
    """Of HTTPRoute and GRPCRoute."""
    directory = module_directory("parts", _MODULE) / "config" / "crd" / channel
    return tuple(
        yaml.safe_load((directory / f"{kind.group}_{kind.plural}.yaml").read_text())
        for kind in (HTTP_ROUTE, GRPC_ROUTE)
    )


async def install_gateway_api(client: Client, channel: str = "standard") -> None:
    """Create what is missing, and wait until it is served."""
    for crd in route_crds(channel):
        await installed(client, crd)
