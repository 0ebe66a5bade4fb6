"""Writes reach a real API server only where something differs, and their answers are seen at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from rollout.api.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, EVENT, Kind
from rollout.kube.cache import Cache
from rollout.kube.client import Client, Patch
from rollout.kube.connect import NotConfigured
from rollout.kube.errors import AlreadyExists, Conflict, Invalid, NotFound, Unavailable
from rollout.kube.events import MESSAGE_LIMIT, EventRecorder
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import Object, version_of
from rollout.kube.writer import Writer
from tests.integration.apiserver import ApiServer
from tests.integration.kube.support import QUICK, background, config_map, running
from tests.integration.kube.test_reflector import definition
from tests.waiting import until

WIDGET = Kind("writer.rollout.dev", "v1", "Widget", "widgets")


def deployment(namespace: str, **template: Any) -> Object:
    container = {"name": "app", "image": "podinfo:1", "ports": [{"containerPort": 9898}]}
    return {
        "metadata": {"namespace": namespace, "name": "podinfo", "labels": {"app": "podinfo"}},
        "spec": {
            "selector": {"matchLabels": {"app": "podinfo"}},
            "template": {
                "metadata": {"labels": {"app": "podinfo"}},
                "spec": {"containers": [{**container, **template}]},
            },
        },
    }


class Sent:
    """How many requests a client has sent, but for reads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.metrics = KubeMetrics(self._registry)

    def __call__(self) -> int:
        return sum(
            int(sample.value)
            for metric in self._registry.collect()
            for sample in metric.samples
            if sample.name == "rollout_kube_requests_total" and sample.labels["method"] != "GET"
        )


async def test_only_differences_are_written(apiserver: ApiServer, namespace: str) -> None:
    sent = Sent()
    async with await Client.connect(str(apiserver.kubeconfig), metrics=sent.metrics) as client:
        cache = Cache(client, namespace, timing=QUICK)
        store = cache.watch(DEPLOYMENT)
        writer = Writer(client, cache)
        async with running(cache):
            created = await writer.apply(DEPLOYMENT, deployment(namespace), None)
            stored = store.get(namespace, "podinfo") or {"metadata": {}}
            assert version_of(stored) >= version_of(created), "the answer is in the store"
            assert created["spec"]["strategy"]["type"] == "RollingUpdate", "the server's default"
            mark = sent()
            for _ in range(3):
                assert await writer.apply(DEPLOYMENT, deployment(namespace), created) is created
            assert sent() == mark

            changed = deployment(namespace, image="podinfo:2")
            updated = await writer.apply(DEPLOYMENT, changed, created)
            assert updated["metadata"]["generation"] == 2
            assert sent() == mark + 1

            template = updated["spec"]["template"]
            bare = {k: v for k, v in template.items() if k != "metadata"}
            bare["metadata"] = {"labels": {"app": "podinfo"}}
            await client.patch(
                DEPLOYMENT,
                namespace,
                "podinfo",
                {"spec": {"template": {"metadata": {"annotations": {"x": "y"}}}}},
            )
            await until(lambda: annotated(store.get(namespace, "podinfo")))
            exact = {**changed, "spec": {**changed["spec"], "template": bare}}
            seen = store.get(namespace, "podinfo")
            answer = await writer.apply(DEPLOYMENT, exact, seen, exact=("spec.template",))
            assert not annotated(answer)
            mark = sent()
            assert await writer.apply(DEPLOYMENT, exact, answer, ("spec.template",)) is answer
            assert sent() == mark


def annotated(obj: Object | None) -> bool:
    return bool(obj and obj["spec"]["template"]["metadata"].get("annotations"))


async def test_an_object_that_exists_already_is_updated(client: Client, namespace: str) -> None:
    writer = Writer(client, Cache(client))
    await client.create(CONFIG_MAP, config_map(namespace, "c", theirs="1", ours="old"))
    answer = await writer.apply(CONFIG_MAP, config_map(namespace, "c", ours="new"), None)
    assert answer["data"] == {"theirs": "1", "ours": "new"}


async def test_an_object_that_vanished_is_created_again(client: Client, namespace: str) -> None:
    writer = Writer(client, Cache(client))
    seen = await writer.apply(CONFIG_MAP, config_map(namespace, "c", a="1"), None)
    await writer.delete(CONFIG_MAP, seen)
    await writer.delete(CONFIG_MAP, seen)
    answer = await writer.apply(CONFIG_MAP, config_map(namespace, "c", a="2"), seen)
    assert answer["metadata"]["uid"] != seen["metadata"]["uid"]
    with pytest.raises(Conflict):
        await writer.delete(CONFIG_MAP, seen)


async def test_a_status_is_written_by_who_saw_the_last_version(
    own_apiserver: ApiServer,
) -> None:
    sent = Sent()
    async with await Client.connect(str(own_apiserver.kubeconfig), metrics=sent.metrics) as client:
        await client.create(CUSTOM_RESOURCE_DEFINITION, definition(WIDGET))
        cache = Cache(client, timing=QUICK)
        cache.watch(WIDGET)
        async with running(cache):
            writer = Writer(client, cache)
            metadata = {"namespace": "default", "name": "w", "finalizers": ["rollout.dev/test"]}
            seen = await writer.apply(WIDGET, {"metadata": metadata, "spec": {"a": 1}}, None)
            first = await writer.patch_status(WIDGET, seen, {"phase": "Progressing", "weight": 5})
            assert first["status"] == {"phase": "Progressing", "weight": 5}
            mark = sent()
            same = await writer.patch_status(WIDGET, first, {"phase": "Progressing", "weight": 5})
            assert same is first
            assert sent() == mark
            with pytest.raises(Conflict):
                await writer.patch_status(WIDGET, seen, {"phase": "Failed"})
            last = await writer.patch_status(WIDGET, first, {"phase": "Succeeded"})
            assert last["status"] == {"phase": "Succeeded"}
            await writer.delete(WIDGET, last)
            waiting = await client.get(WIDGET, "default", "w")
            assert waiting["metadata"]["deletionTimestamp"]


async def test_refusals_have_types(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAP, config_map(namespace, "c"))
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAP, config_map(namespace, "c"))
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAP, namespace, "none")
    with pytest.raises(Invalid) as refused:
        await client.create(CONFIG_MAP, config_map(namespace, "Not A Name"))
    assert refused.value.causes[0].startswith("metadata.name: ")
    stale = {**config_map(namespace, "c"), "data": {"a": "b"}}
    stale["metadata"]["resourceVersion"] = "1"
    with pytest.raises(Conflict):
        await client.replace(CONFIG_MAP, stale)


async def test_server_side_apply_and_raw_paths(client: Client, namespace: str) -> None:
    body = config_map(namespace, "applied", a="1")
    answer = await client.patch(
        CONFIG_MAP, namespace, "applied", body, content_type=Patch.APPLY, field_manager="test"
    )
    assert answer["data"] == {"a": "1"}
    assert (await client.request("GET", "/version"))["major"] == "1"


async def test_no_server_is_unavailable_and_says_so(
    own_apiserver: ApiServer, tmp_path: Path
) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        own_apiserver.stop()
        with pytest.raises(Unavailable, match="GET /version: "):
            await client.request("GET", "/version")
    with pytest.raises(NotConfigured, match="no such file"):
        await Client.connect(str(tmp_path / "none"))


async def test_closing_leaves_no_connection_of_a_cancelled_request(
    own_apiserver: ApiServer,
) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        await client.list(CONFIG_MAP)
        own_apiserver.pause()
        async with background(client.list(CONFIG_MAP)):
            await asyncio.sleep(0.2)
        sockets = list(client._api.rest_client._sockets)
        assert any(each.fileno() != -1 for each in sockets), "TLS waits for the other's farewell"
    own_apiserver.resume()
    assert [each for each in sockets if each.fileno() != -1] == []


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at


async def test_repeated_events_are_counted_on_one(client: Client, namespace: str) -> None:
    clock = Clock()
    events = EventRecorder(client, "rollout", now=clock)
    about = await client.create(CONFIG_MAP, config_map(namespace, "c"))
    async with background(events.run()):
        for weight in (10, 20, 20, 20):
            events.emit(about, "Normal", "Synced", f"Advance c.test canary weight {weight}")
        events.emit(about, "Warning", "Synced", "x" * 3000)
        assert await events.flush()
        clock.at += timedelta(minutes=11)
        events.emit(about, "Normal", "Synced", "Advance c.test canary weight 10")
        assert await events.flush()
    found = await client.list(EVENT, namespace)
    counts = sorted((each["message"][:32], each["count"]) for each in found)
    assert counts == [
        ("Advance c.test canary weight 10", 1),
        ("Advance c.test canary weight 10", 1),
        ("Advance c.test canary weight 20", 3),
        ("x" * 32, 1),
    ]
    event = next(each for each in found if each["count"] == 3)
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": namespace,
        "name": "c",
        "uid": about["metadata"]["uid"],
    }
    assert (event["type"], event["source"]) == ("Normal", {"component": "rollout"})
    assert max(len(each["message"]) for each in found) == MESSAGE_LIMIT


async def test_events_wait_for_the_server_and_are_bounded(own_apiserver: ApiServer) -> None:
    registry, clock = CollectorRegistry(), Clock()
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        events = EventRecorder(client, "rollout", now=clock, metrics=KubeMetrics(registry))
        about = await client.create(CONFIG_MAP, config_map("default", "c"))
        async with background(events.run()):
            own_apiserver.stop()
            for number in range(60):
                events.emit(about, "Warning", "Synced", f"message {number}")
            dropped = registry.get_sample_value(
                "rollout_kube_events_dropped_total", {"why": "rate"}
            )
            assert dropped == 10
            assert not await events.flush(0.2)
            own_apiserver.start()
            assert await events.flush(20)
        found = await client.list(EVENT, "default", field_selector="involvedObject.name=c")
        assert len(found) == 50


async def test_an_event_for_a_namespace_that_is_not_there_harms_nobody(client: Client) -> None:
    registry = CollectorRegistry()
    events = EventRecorder(client, "rollout", metrics=KubeMetrics(registry))
    about = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "nowhere", "uid": "u"},
    }
    async with background(events.run()) as run:
        events.emit(about, "Normal", "Synced", "hello")
        assert await events.flush()
        assert not run.done()
    dropped = registry.get_sample_value("rollout_kube_events_dropped_total", {"why": "refused"})
    assert dropped == 1
