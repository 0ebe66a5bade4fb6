"""Installs this program's CRDs on a test's API server, and waits until it serves them."""

from __future__ import annotations

import asyncio

from rollout.api.crdgen import definitions
from rollout.api.kinds import CUSTOM_RESOURCE_DEFINITION
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists
from rollout.kube.objects import Object


async def install_crds(client: Client, *, seconds: float = 30) -> dict[str, Object]:
    """Create what is missing; the CRDs as established, by name. TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        for crd in definitions().values():
            try:
                await client.create(CUSTOM_RESOURCE_DEFINITION, crd)
            except AlreadyExists:
                continue
        return {name: await _established(client, name) for name in definitions()}


async def _established(client: Client, name: str) -> Object:
    while True:
        crd = await client.get(CUSTOM_RESOURCE_DEFINITION, None, name)
        conditions = crd.get("status", {}).get("conditions", [])
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return crd
        await asyncio.sleep(0.05)
