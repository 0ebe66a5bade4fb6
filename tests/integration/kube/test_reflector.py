"""A store follows a real API server through everything that connections, watches and servers do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from rollout.api.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, NAMESPACE, Kind
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.metrics import KubeMetrics
from rollout.kube.store import Change, Store
from tests.integration.apiserver import ApiServer
from tests.integration.kube.support import (
    QUICK,
    Cuttable,
    background,
    config_map,
    running,
)
from tests.waiting import until


class Measured:
    """A cache's own counters, by name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = KubeMetrics(self.registry)

    def __call__(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"rollout_kube_{name}_total", labels) or 0.0


def names(store: Store) -> list[str]:
    return [obj["metadata"]["name"] for obj in store.list()]


async def test_what_happens_on_the_server_is_seen_at_once(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAP, config_map(namespace, "before", a="1"))
    cache, changes = Cache(client, namespace, timing=QUICK), list[Change]()
    store = cache.watch(CONFIG_MAP)
    async with running(cache):
        assert names(store) == ["before"]
        before = store.get(namespace, "before") or {}
        assert (before["kind"], before["apiVersion"]) == ("ConfigMap", "v1")
        assert "managedFields" not in before["metadata"]
        store.subscribe(changes.append)
        await client.create(CONFIG_MAP, config_map(namespace, "later"))
        await client.patch(CONFIG_MAP, namespace, "before", {"data": {"a": "2"}})
        await client.delete(CONFIG_MAP, namespace, "later")
        await until(lambda: len(changes) == 3)
    seen = [(change.key.name, bool(change.old), bool(change.new)) for change in changes]
    assert seen == [("later", False, True), ("before", True, True), ("later", True, False)]


async def test_a_selector_and_a_name_narrow_the_watch(client: Client, namespace: str) -> None:
    cache = Cache(client, namespace, timing=QUICK)
    selected = cache.watch(CONFIG_MAP, selector={"matchLabels": {"app": "x"}})
    named = cache.watch(CONFIG_MAP, name="b")
    assert cache.watch(CONFIG_MAP, name="b") is named
    async with running(cache):
        for name, app in (("a", "x"), ("b", "y")):
            obj = config_map(namespace, name)
            obj["metadata"]["labels"] = {"app": app}
            await client.create(CONFIG_MAP, obj)
        await until(lambda: (names(selected), names(named)) == (["a"], ["b"]))
        await client.patch(CONFIG_MAP, namespace, "a", {"metadata": {"labels": {"app": "z"}}})
        await until(lambda: names(selected) == [])


async def test_a_long_list_comes_in_pages(own_apiserver: ApiServer) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        limit = asyncio.Semaphore(32)

        async def create(number: int) -> None:
            async with limit:
                await client.create(CONFIG_MAP, config_map("default", f"many-{number:04}"))

        await asyncio.gather(*map(create, range(1200)))
        cache = Cache(client, "default", timing=QUICK)
        store = cache.watch(CONFIG_MAP)
        mark = len(own_apiserver.requests())
        async with running(cache):
            assert len([name for name in names(store) if name.startswith("many-")]) == 1200
        lists = [each for each in own_apiserver.requests(mark) if each["verb"] == "list"]
        assert len(lists) == 3


async def test_watches_that_end_go_on_where_they_were(client: Client, namespace: str) -> None:
    measured = Measured()
    timing = replace(QUICK, watch_min=1, watch_max=1)
    cache = Cache(client, namespace, timing=timing, metrics=measured.metrics)
    store, changes = cache.watch(CONFIG_MAP), list[Change]()
    async with running(cache):
        store.subscribe(changes.append)
        for number in range(12):
            await client.create(CONFIG_MAP, config_map(namespace, f"c-{number}"))
            await asyncio.sleep(0.2)
        await until(lambda: len(changes) == 12)
    assert measured("watches", kind="ConfigMap") >= 3
    assert measured("lists", kind="ConfigMap") == 1


async def test_a_silent_connection_is_noticed(own_apiserver: ApiServer, tmp_path: Path) -> None:
    measured = Measured()
    async with (
        Cuttable(own_apiserver.port, tmp_path, own_apiserver.kubeconfig) as proxy,
        await Client.connect(proxy.kubeconfig) as client,
        await Client.connect(str(own_apiserver.kubeconfig)) as direct,
    ):
        timing = replace(QUICK, silence=1.5)
        cache = Cache(client, "default", timing=timing, metrics=measured.metrics)
        store = cache.watch(CONFIG_MAP)
        async with running(cache):
            await direct.create(CONFIG_MAP, config_map("default", "heard"))
            await until(lambda: store.get("default", "heard"))
            proxy.mute()
            await direct.create(CONFIG_MAP, config_map("default", "unheard"))
            await until(lambda: store.get("default", "unheard"))
        assert measured("watch_failures", kind="ConfigMap", error="Unavailable")
        assert measured("lists", kind="ConfigMap") == 1, "it went on from the last version"


async def test_a_server_that_hangs_and_comes_back(own_apiserver: ApiServer) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        cache = Cache(client, "default", timing=replace(QUICK, silence=1.0))
        store = cache.watch(CONFIG_MAP)
        async with running(cache):
            own_apiserver.pause()
            await asyncio.sleep(2.5)
            own_apiserver.resume()
            await client.create(CONFIG_MAP, config_map("default", "after"))
            await until(lambda: store.get("default", "after"))


async def test_a_relist_after_a_restart_tells_only_what_changed(
    own_apiserver: ApiServer, tmp_path: Path
) -> None:
    """The new server remembers no version from before: 410, a relist, and deletions are still seen."""
    measured, changes = Measured(), list[Change]()
    async with (
        Cuttable(own_apiserver.port, tmp_path, own_apiserver.kubeconfig) as proxy,
        await Client.connect(proxy.kubeconfig) as client,
        await Client.connect(str(own_apiserver.kubeconfig)) as direct,
    ):
        for name in ("same", "changed", "deleted"):
            await direct.create(CONFIG_MAP, config_map("default", name))
        cache = Cache(client, "default", timing=QUICK, metrics=measured.metrics)
        store = cache.watch(CONFIG_MAP)
        async with running(cache):
            store.subscribe(changes.append)
            proxy.cut()
            await direct.patch(CONFIG_MAP, "default", "changed", {"data": {"a": "1"}})
            await direct.delete(CONFIG_MAP, "default", "deleted")
            await direct.create(CONFIG_MAP, config_map("default", "new"))
            own_apiserver.stop()
            own_apiserver.start()
            assert changes == []
            proxy.mend()
            await until(lambda: len(changes) >= 3)
            assert measured("watch_failures", kind="ConfigMap", error="Gone") == 1
            assert measured("lists", kind="ConfigMap") == 2
            assert {change.key.name for change in changes} == {"changed", "deleted", "new"}


async def test_an_idle_cache_asks_for_nothing(own_apiserver: ApiServer) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        # no event, no bookmark: quiet is not silent
        cache = Cache(client, timing=replace(QUICK, silence=1.0))
        for kind in (CONFIG_MAP, NAMESPACE, Kind("apps", "v1", "Deployment", "deployments")):
            cache.watch(kind)
        cache.watch(
            Kind("test.rollout.dev", "v1", "Thing", "things"), optional=True, definitions=True
        )
        async with running(cache):

            def ours(skip: int = 0) -> list[dict[str, Any]]:
                requests = own_apiserver.requests(skip)
                return [r for r in requests if r["userAgent"].startswith("rollout/")]

            await until(lambda: sum(r["verb"] == "watch" for r in ours()) == 4)
            mark = len(own_apiserver.requests())
            await asyncio.sleep(3)
            assert ours(mark) == []


@pytest.mark.parametrize("definitions", [False, True])
async def test_a_kind_that_is_installed_later(own_apiserver: ApiServer, definitions: bool) -> None:
    thing = Kind("test.rollout.dev", "v1", "Thing", "things")
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        cache = Cache(client, timing=QUICK)
        store = cache.watch(thing, optional=True, definitions=definitions)
        async with running(cache):
            assert not cache.is_installed(thing)
            await client.create(CUSTOM_RESOURCE_DEFINITION, definition(thing))
            await until(lambda: cache.is_installed(thing))
            await client.create(
                thing,
                {
                    "apiVersion": thing.api_version,
                    "kind": "Thing",
                    "metadata": {"name": "x", "namespace": "default"},
                },
            )
            await until(lambda: names(store) == ["x"])


async def test_a_missing_kind_that_is_needed_is_named(client: Client) -> None:
    cache = Cache(client, timing=QUICK)
    cache.watch(Kind("test.rollout.dev", "v1", "Absent", "absents"))
    async with background(cache.run()):
        with pytest.raises(TimeoutError, match="no list yet of Absent"):
            await cache.synced(0.5)


def definition(kind: Kind) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {"kind": kind.kind, "plural": kind.plural},
            "versions": [
                {
                    "name": kind.version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }
