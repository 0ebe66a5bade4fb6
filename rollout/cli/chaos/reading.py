"""Reads experiments and reports: once, or again whenever one changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from rollout.api.chaos import EXPERIMENT_LABEL, ChaosReport
from rollout.api.errors import InvalidObject
from rollout.api.kinds import CHAOS_EXPERIMENT, CHAOS_REPORT
from rollout.cli.chaos.view import ExperimentView, view
from rollout.cli.errors import CommandFailed
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object
from rollout.kube.store import Store

_SECONDS_TO_SYNC = 15


async def read_experiment(client: Client, namespace: str, name: str) -> Object:
    """One experiment as served, or CommandFailed."""
    try:
        return await client.get(CHAOS_EXPERIMENT, namespace, name)
    except NotFound as error:
        raise CommandFailed(
            f"there is no ChaosExperiment {name!r} in namespace {namespace!r};"
            " `rollout chaos list -A` lists them all"
        ) from error


async def read_all(client: Client, namespace: str | None) -> list[ExperimentView]:
    """Every experiment."""
    return [view(each) for each in await client.list(CHAOS_EXPERIMENT, namespace)]


async def read_report(client: Client, namespace: str, name: str) -> Object:
    """The report of that name, or the last one of the experiment of that name; or CommandFailed."""
    with suppress(NotFound):
        return await client.get(CHAOS_REPORT, namespace, name)
    found = await client.list(CHAOS_REPORT, namespace, f"{EXPERIMENT_LABEL}={name}")
    if not found:
        raise CommandFailed(
            f"there is no report of {namespace}/{name}: it was not run to an end yet,"
            " or its reports were pruned"
        )
    return max(found, key=lambda each: str((each.get("spec") or {}).get("start", "")))


def parse_report(report: Object) -> ChaosReport:
    """A report as a model, or CommandFailed."""
    try:
        return ChaosReport.parse(report)
    except InvalidObject as error:
        raise CommandFailed(f"the report cannot be read: {error}") from error


@asynccontextmanager
async def following(
    client: Client, namespace: str, name: str
) -> AsyncIterator[AsyncIterator[ExperimentView]]:
    """The experiment now, and again whenever it changes; ends when it is deleted."""
    await read_experiment(client, namespace, name)
    cache = Cache(client, namespace)
    store = cache.watch(CHAOS_EXPERIMENT, name=name)
    changed = asyncio.Event()
    store.subscribe(lambda _: changed.set())
    running = asyncio.ensure_future(cache.run())
    try:
        await cache.synced(_SECONDS_TO_SYNC)
        yield _views(store, namespace, name, changed)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _views(
    store: Store, namespace: str, name: str, changed: asyncio.Event
) -> AsyncIterator[ExperimentView]:
    while (found := store.get(namespace, name)) is not None:
        yield view(found)
        await changed.wait()
        changed.clear()
