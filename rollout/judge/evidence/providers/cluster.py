"""Providers that are asked through the cluster's own API server: its errors said as those of any other provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rollout.judge.checks import Answer, QueryFailed
from rollout.judge.evidence.providers.setup import Setup, refused
from rollout.kube.client import Client
from rollout.kube.errors import KubeError, Unavailable


def cluster_of(setup: Setup) -> Client:
    """The cluster's client. Raises MisconfiguredError where there is none."""
    if setup.world.kube is None:
        raise setup.misconfigured("type", f"{setup.source.type} needs a cluster", "run in one")
    return setup.world.kube


async def ask_cluster(
    setup: Setup,
    path: str,
    read: Callable[[Any], Answer],
    query: dict[str, str] | None = None,
) -> Answer:
    """One GET from the API server; `read` says what the decoded answer means."""
    client = cluster_of(setup)
    try:
        answered = await client.request("GET", path, query=query)
    except KubeError as error:
        return failed(setup, error)
    try:
        return read(answered)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return QueryFailed(f"{path} is not answered as expected: {error}"[:300], retriable=True)


def failed(setup: Setup, error: KubeError) -> QueryFailed:
    """What a refusal by the API server means for a query."""
    if isinstance(error, Unavailable):
        return QueryFailed(f"{setup.source.type} does not answer: {error}"[:300], retriable=True)
    return refused(setup.source.type, error.status, setup.cleared(str(error)))
