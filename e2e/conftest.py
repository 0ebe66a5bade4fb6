"""The scenarios share one cluster; those of the demo's application get it freshly deployed and initialized.

Those marked `alone` kill what all use, count requests, or measure; the others keep to namespaces of their own and run
beside each other, each file in one process.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster.build import locked
from e2e.kubectl import until
from e2e.lab import NAMESPACE, Lab


@pytest.fixture(scope="session")
def cluster() -> Lab:
    with locked("scenarios"):
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
