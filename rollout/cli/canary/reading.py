"""Reads what a view is made of: once, or again whenever something of it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from rollout.api.kinds import CANARY, POD, Kind
from rollout.cli.canary.view import CanaryView, pods_selector, view
from rollout.cli.errors import CommandFailed
from rollout.delivery.objects.metadata import baseline_name, primary_name
from rollout.delivery.targets import target_of
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.errors import Forbidden, NotFound
from rollout.kube.objects import Object, Objects, labels_of, selector_matches, selector_string
from rollout.kube.store import Store

_SECONDS_TO_SYNC = 15


class NoCanary(CommandFailed):
    """There is no canary of that name; the message says where was looked."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(
            f"there is no Canary {name!r} in namespace {namespace!r}; `rollout get -A` lists them all"
        )


async def read_all(client: Client, namespace: str | None) -> list[CanaryView]:
    """Every canary, without pods."""
    canaries = await client.list(CANARY, namespace)
    found: dict[tuple[Kind, str], dict[str, Object]] = {}
    for kind in {target_of(each).kind for each in canaries}:
        for each in await client.list(kind, namespace):
            key = kind, each["metadata"]["namespace"]
            found.setdefault(key, {})[each["metadata"]["name"]] = each
    return [
        view(each, found.get((target_of(each).kind, each["metadata"]["namespace"]), {}))
        for each in canaries
    ]


async def read_canary(client: Client, namespace: str, name: str) -> Object:
    """One Canary as served, or NoCanary."""
    try:
        return await client.get(CANARY, namespace, name)
    except NotFound as error:
        raise NoCanary(namespace, name) from error


async def read_one(client: Client, namespace: str, name: str) -> CanaryView:
    """One canary with its workloads, and their pods where these may be read."""
    canary = await read_canary(client, namespace, name)
    workloads: dict[str, Object] = {}
    pods: dict[str, Objects] = {}
    for each in _workloads_of(canary):
        with suppress(NotFound):
            found = workloads[each] = await client.get(target_of(canary).kind, namespace, each)
            if selector := pods_selector(found):
                with suppress(Forbidden):
                    pods[each] = await client.list(POD, namespace, selector_string(selector))
    return view(canary, workloads, pods)


@asynccontextmanager
async def following(
    client: Client, namespace: str, name: str
) -> AsyncIterator[AsyncIterator[CanaryView]]:
    """The canary now, and again whenever it or what belongs to it changes; ends when it is deleted."""
    canary = await read_canary(client, namespace, name)
    cache = Cache(client, namespace)
    canaries = cache.watch(CANARY, name=name)
    workloads = cache.watch(target_of(canary).kind)
    pods = cache.watch(POD, optional=True)
    changed = asyncio.Event()
    for store in (canaries, workloads, pods):
        store.subscribe(lambda _: changed.set())
    running = asyncio.ensure_future(cache.run())
    try:
        await cache.synced(_SECONDS_TO_SYNC)
        yield _views(namespace, name, canaries, workloads, pods, changed)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _views(
    namespace: str,
    name: str,
    canaries: Store,
    workloads: Store,
    pods: Store,
    changed: asyncio.Event,
) -> AsyncIterator[CanaryView]:
    while (canary := canaries.get(namespace, name)) is not None:
        found = {
            each: workload
            for each in _workloads_of(canary)
            if (workload := workloads.get(namespace, each)) is not None
        }
        yield view(canary, found, {each: _pods_of(found[each], pods) for each in found})
        await changed.wait()
        changed.clear()


def _pods_of(workload: Object, pods: Store) -> Objects:
    namespace, selector = workload["metadata"]["namespace"], pods_selector(workload)
    return [pod for pod in pods.list(namespace) if selector_matches(selector, labels_of(pod))]


def _workloads_of(canary: Object) -> tuple[str, ...]:
    target = ((canary.get("spec") or {}).get("targetRef") or {}).get("name")
    if not isinstance(target, str) or not target:
        return ()
    return primary_name(target), target, baseline_name(target)
