"""Reads what the controller would: its own stores, filled once. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from rollout.api.kinds import ALERT_PROVIDER, CANARY, DEPLOYMENT, Kind
from rollout.cli.errors import CommandFailed
from rollout.cli.migrate.examine import examine
from rollout.cli.migrate.finding import CanaryReport, Finding, Level
from rollout.cli.migrate.flagger import Flagger, find
from rollout.delivery.observe import Observer
from rollout.delivery.snapshot import Settings
from rollout.delivery.watched import watch
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.objects import key_of
from rollout.kube.store import Store

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found: about Flagger itself, and about each canary."""

    flaggers: tuple[Flagger, ...]
    canaries: tuple[CanaryReport, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those about Flagger."""
        return tuple(finding for each in self.flaggers for finding in each.findings())

    @property
    def exit_code(self) -> int:
        """0 nothing to do, 1 something is done otherwise or to be done before, 2 something would be refused."""
        levels = [each.level for each in self.findings] + [each.level for each in self.canaries]
        return int(max(levels, default=Level.NOTE))


async def check(client: Client, namespace: str | None, provider: str, now: datetime) -> Report:
    """Check the canaries of a namespace, or of all; `provider` is theirs who name none, else Flagger's own flag."""
    flaggers = find(await client.list(DEPLOYMENT))
    flags = {name: value for each in flaggers for name, value in each.flags.items()}
    defaults = Settings()
    labels = flags.get("selector-labels", ",".join(defaults.selector_labels))
    settings = Settings(
        mesh_provider=provider or flags.get("mesh-provider", defaults.mesh_provider),
        selector_labels=tuple(labels.split(",")),
        config_tracking=flags.get("enable-config-tracking", "true") != "false",
    )
    async with _filled(client, namespace, settings) as stores:
        observer = Observer(stores, settings)
        snapshots = (observer.snapshot(key_of(each)) for each in stores[CANARY].list())
        reports = [
            examine(seen, stores[ALERT_PROVIDER].get, now) for seen in snapshots if seen is not None
        ]
    return Report(flaggers=flaggers, canaries=tuple(reports))


@asynccontextmanager
async def _filled(
    client: Client, namespace: str | None, settings: Settings
) -> AsyncIterator[Mapping[Kind, Store]]:
    cache = Cache(client, namespace)
    stores = watch(cache, settings)
    running = asyncio.ensure_future(cache.run())
    try:
        await cache.synced(_PATIENCE_SECONDS)
        yield stores
    except TimeoutError as error:
        raise CommandFailed(f"the controller would have nothing to work with: {error}") from error
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
