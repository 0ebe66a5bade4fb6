"""What the tests stand on: a real API server, shared or of a test's own where it is stopped or counted; a real
Prometheus; and a namespace in which a controller may be run."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from e2e.cluster.packages import require, require_root
from rollout.api.kinds import NAMESPACE
from rollout.kube.client import Client
from tests.integration.apiserver import ApiServer, api_server
from tests.integration.crds import install_crds
from tests.integration.delivery.support import Lab, options
from tests.integration.prometheus import prometheus


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


@pytest.fixture(scope="session")
def metrics_server() -> Iterator[str]:
    """The address of a Prometheus; it watches nothing, so queries are of what they say themselves."""
    with prometheus() as address:
        yield address


@pytest.fixture
async def lab(
    apiserver: ApiServer, client: Client, namespace: str, metrics_server: str
) -> AsyncIterator[Lab]:
    """The namespace, watched, with the kinds installed; a controller runs once the test says so."""
    await install_crds(client)
    made = Lab(
        client=client,
        namespace=namespace,
        options=options(apiserver.kubeconfig, namespace, metrics_server),
    )
    async with made.watched():
        yield made


@pytest.fixture(scope="session")
def network_tools() -> None:
    """For tests in network namespaces of their own: root, and the programs that make them."""
    require_root()
    require({"ip": "iproute2", "iptables-restore": "iptables"})
