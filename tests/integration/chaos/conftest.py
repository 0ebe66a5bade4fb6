"""A namespace for experiments."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rollout.api.kinds import NAMESPACE
from rollout.kube.client import Client
from tests.integration.apiserver import ApiServer
from tests.integration.chaos.support import ChaosLab
from tests.integration.crds import install_crds
from tests.integration.delivery.support import options


@pytest.fixture
async def chaos_lab(
    apiserver: ApiServer, client: Client, namespace: str, metrics_server: str
) -> ChaosLab:
    """A namespace that opted in, with a Service; controllers run once the test says so."""
    return await made(apiserver, client, namespace, metrics_server)


@pytest.fixture
async def own_chaos_lab(own_apiserver: ApiServer, metrics_server: str) -> AsyncIterator[ChaosLab]:
    """The same on an API server of the test's own."""
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        await client.create(NAMESPACE, {"metadata": {"name": "shop"}})
        yield await made(own_apiserver, client, "shop", metrics_server)


async def made(server: ApiServer, client: Client, namespace: str, metrics_server: str) -> ChaosLab:
    await install_crds(client)
    system = f"system-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACE, {"metadata": {"name": system}})
    settings = options(server.kubeconfig, namespace, metrics_server)
    lab = ChaosLab(
        client=client,
        namespace=namespace,
        system=system,
        options=replace(settings, system_namespace=system),
        server=server,
    )
    await lab.enable()
    await lab.service()
    return lab
