"""The scenarios share one cluster; each gets the application freshly deployed and initialized."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.kubectl import until
from e2e.lab import NAMESPACE, Lab


@pytest.fixture(scope="session")
def cluster() -> Lab:
    return Lab.prepare()


@pytest.fixture
def lab(cluster: Lab) -> Iterator[Lab]:
    """The demo's application at 6.9.0, its Canary initialized, answering through the gateway."""
    cluster.deploy()
    until("the canary to be initialized", lambda: cluster.phase() == "Initialized", timeout=90)
    cluster.answers()
    yield cluster
    cluster.remove()


@pytest.fixture
def namespace() -> str:
    return NAMESPACE
