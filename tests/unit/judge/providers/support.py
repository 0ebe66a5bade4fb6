"""A provider's setup in a test: a fixed clock, a client, an environment of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rollout.http.client import HttpClient
from rollout.judge.checks import Answer, Source
from rollout.judge.evidence.providers.setup import Setup, World
from rollout.judge.evidence.providers.table import ask
from rollout.judge.evidence.providers.tokens import Tokens

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def source(kind: str, **given: Any) -> Source:
    return replace(
        Source(type=kind, namespace="test", template="t", window=timedelta(minutes=1)), **given
    )


async def answer(
    origin: Source,
    query: str,
    secret: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    kube: Any = None,
) -> Answer:
    async with HttpClient() as http:
        world = World(
            http=http, tokens=Tokens(), now=lambda: NOW, environment=environment or {}, kube=kube
        )
        return await ask(Setup(source=origin, secret=secret, world=world), query)
