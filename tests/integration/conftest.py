"""A real API server for the tests: one shared by all, or one of a test's own where it is stopped or counted."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from rollout.api.kinds import NAMESPACE
from rollout.kube.client import Client
from tests.integration.apiserver import ApiServer, api_server


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """Shared: a test keeps to its own `namespace`, and cluster-scoped objects to names of its own."""
    with api_server() as server:
        yield server


@pytest.fixture
def own_apiserver() -> Iterator[ApiServer]:
    """For this test alone: it may be stopped, paused, and its requests counted."""
    with api_server() as server:
        yield server


@pytest.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[Client]:
    """An administrator of the shared API server."""
    async with await Client.connect(str(apiserver.kubeconfig)) as connected:
        yield connected


@pytest.fixture
async def namespace(client: Client) -> str:
    """A fresh namespace on the shared API server."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACE, {"metadata": {"name": name}})
    return name
