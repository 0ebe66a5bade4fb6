"""Installs this program's CRDs on a test's API server, and waits until it serves them."""

from __future__ import annotations

import asyncio
import contextlib

from rollout.api.crdgen import definitions
from rollout.api.kinds import CUSTOM_RESOURCE_DEFINITION
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, NotFound
from rollout.kube.objects import Object


async def install_crds(client: Client, *, seconds: float = 30) -> dict[str, Object]:
    """Create what is missing; the CRDs as established, by name. TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        found = await asyncio.gather(*(installed(client, crd) for crd in definitions().values()))
    return {crd["metadata"]["name"]: crd for crd in found}


async def installed(client: Client, crd: Object) -> Object:
    """Create one CRD where it is missing; it, as established."""
    name = crd["metadata"]["name"]
    while True:
        try:
            served = await client.get(CUSTOM_RESOURCE_DEFINITION, None, name)
        except NotFound:
            with contextlib.suppress(AlreadyExists):
                await client.create(CUSTOM_RESOURCE_DEFINITION, crd)
            continue
        conditions = served.get("status", {}).get("conditions") or ()
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return served
        await asyncio.sleep(0.05)
