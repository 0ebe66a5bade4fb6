"""Where a check's number comes from: the Prometheus of the mesh, or the provider of a MetricTemplate with its Secret.

Knows how Secrets are had, not what they hold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from rollout.judge.checks import Answer, Check, QueryFailed, Source
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.evidence.providers.setup import Setup, World
from rollout.judge.evidence.providers.table import ask, misconfigured
from rollout.kube.errors import KubeError

Secrets = Callable[[str, str], Awaitable[Mapping[str, str] | None]]
"""The decoded values of a Secret by namespace and name; None where there is no such Secret."""


class Sources:
    """All that can be asked for a number."""

    def __init__(self, prometheus: Prometheus, secrets: Secrets, world: World) -> None:
        self._prometheus, self._secrets, self._world = prometheus, secrets, world

    async def answer(self, check: Check) -> Answer:
        """Make one check; never raises."""
        if check.source is None:
            return await self._prometheus.answer(check)
        setup = await self._setup(check.source)
        return setup if isinstance(setup, QueryFailed) else await ask(setup, check.query)

    async def online(self, address: str) -> QueryFailed | None:
        """None where a Prometheus answers at this address."""
        return await self._prometheus.online(address)

    async def configured(self, source: Source) -> QueryFailed | None:
        """None where a provider can be asked as it is configured, its Secret included."""
        setup = await self._setup(source)
        return setup if isinstance(setup, QueryFailed) else misconfigured(setup)

    async def _setup(self, source: Source) -> Setup | QueryFailed:
        secret: Mapping[str, str] | None = None
        if source.secret:
            where = f"{source.name}: spec.provider.secretRef: Secret"
            name = f"{source.namespace}/{source.secret}"
            try:
                secret = await self._secrets(source.namespace, source.secret)
            except KubeError as error:
                return QueryFailed(f"{where} {name} is not had: {error}", retriable=True)
            if secret is None:
                return QueryFailed(f"{where} {name} is not there; create it", retriable=False)
        return Setup(source=source, secret=secret, world=self._world)
