"""Gateway API's own CRDs, as released with its Go module, on a test's API server."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from rollout.api.kinds import GRPC_ROUTE, HTTP_ROUTE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.crds import installed

_MODULE = "sigs.k8s.io/gateway-api@v1.4.0"


@cache
def route_crds() -> tuple[Object, ...]:
    """Of HTTPRoute and GRPCRoute, the standard channel's; the test is skipped where the module cannot be had."""
    if (go := shutil.which("go")) is None:
        pytest.skip("needs go, to get Gateway API's CRDs")
    command = [go, "mod", "download", "-json", _MODULE]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd="/"
    )
    if done.returncode:
        pytest.skip(f"cannot get Gateway API's CRDs: {done.stdout.strip()[-200:]}")
    directory = Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "standard"
    return tuple(
        yaml.safe_load((directory / f"{kind.group}_{kind.plural}.yaml").read_text())
        for kind in (HTTP_ROUTE, GRPC_ROUTE)
    )


async def install_gateway_api(client: Client) -> None:
    """Create what is missing, and wait until it is served."""
    for crd in route_crds():
        await installed(client, crd)
