"""The controller's main job on a real API server, with a real Prometheus to ask."""

from __future__ import annotations

import asyncio
from typing import Any

from rollout.api.kinds import CANARY, DEPLOYMENT, SERVICE, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.delivery.support import Lab, options
from tests.unit.delivery.world import canary, deployment
from tests.waiting import until

GOOD, BAD = "vector(0.5)", "vector(7)"


def errors(query: str = GOOD) -> Object:
    return {"name": "errors", "query": query, "thresholdRange": {"max": 1}}


async def apply(lab: Lab, **spec: Any) -> None:
    """The target and the Canary of the book, judged by a query of the test's."""
    target = deployment()
    release = canary(analysis={"interval": "1s", "threshold": 2, "metrics": [errors()]}, **spec)
    for kind, obj in ((DEPLOYMENT, target), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)


async def test_promoted_then_rolled_back(lab: Lab) -> None:
    await apply(lab)
    async with lab.controller():
        await lab.phase("Initialized")
        assert lab.shown == [("Initializing", 0), ("Initialized", 0)]
        target, primary = [await lab.get(DEPLOYMENT, n) for n in ("catalog", "catalog-primary")]
        assert (target["spec"]["replicas"], primary["spec"]["replicas"]) == (0, 2)
        apex = await lab.get(SERVICE, "catalog")
        assert apex["spec"]["selector"] == {"app": "catalog-primary"}

        await lab.new_image("catalog:2")
        await lab.phase("Progressing", 1.0)
        await lab.phase("Succeeded")
        assert lab.shown[2:] == [
            *(("Progressing", weight) for weight in (0, 10, 20, 30, 40, 50)),
            ("Promoting", 0),
            ("Finalising", 0),
            ("Succeeded", 0),
        ]
        assert lab.weights == [(100 - w, w) for w in (0, 10, 20, 30, 40, 50, 0)]
        primary = await lab.get(DEPLOYMENT, "catalog-primary")
        assert primary["spec"]["template"]["spec"]["containers"][0]["image"] == "catalog:2"

        await lab.patch(
            CANARY, "catalog-release", {"spec": {"analysis": {"metrics": [errors(BAD)]}}}
        )
        shown = len(lab.shown)
        await lab.new_image("catalog:bad")
        await lab.phase("Failed")
        assert lab.shown[shown:] == [("Progressing", 0), ("Progressing", 10), ("Failed", 0)]
        assert (await lab.get(DEPLOYMENT, "catalog-primary"))["spec"] == primary["spec"]
        assert (await lab.get(DEPLOYMENT, "catalog"))["spec"]["replicas"] == 0
        route = (await lab.get(VIRTUAL_SERVICE, "catalog"))["spec"]["http"][0]["route"]
        assert [each["weight"] for each in route] == [100, 0]
        events = await lab.events()
        halted = f"Halt catalog-release.{lab.namespace} advancement errors 7.00 > 1"
        assert halted in events
        assert events[-1] == f"Canary failed! Scaling down catalog-release.{lab.namespace}"


async def test_a_controller_that_is_killed_is_followed_by_another(lab: Lab) -> None:
    await apply(lab)
    async with lab.controller():
        await until(lambda: lab.shown[-1:] == [("Initializing", 0)], "Initializing")
    async with lab.controller():
        await lab.phase("Initialized")
        await lab.new_image("catalog:2")
        await until(lambda: lab.shown[-1:] == [("Progressing", 20)], "20 %")
    async with lab.controller():
        await lab.phase("Promoting")
    async with lab.controller():
        await lab.phase("Succeeded")
    assert lab.shown == [
        ("Initializing", 0),
        ("Initialized", 0),
        *(("Progressing", weight) for weight in (0, 10, 20, 30, 40, 50)),
        ("Promoting", 0),
        ("Finalising", 0),
        ("Succeeded", 0),
    ]


async def test_deleted_with_everything_given_back(lab: Lab) -> None:
    await apply(lab, revertOnDeletion=True)
    async with lab.controller():
        await lab.phase("Initialized")
        await lab.client.delete(CANARY, lab.namespace, "catalog-release")

        async def gone() -> bool:
            return not await lab.client.list(CANARY, lab.namespace)

        await until(gone, "the Canary is gone")
    assert (await lab.get(DEPLOYMENT, "catalog"))["spec"]["replicas"] == 2
    assert (await lab.get(SERVICE, "catalog"))["spec"]["selector"] == {"app": "catalog"}
    assert not await lab.client.list(VIRTUAL_SERVICE, lab.namespace)


async def test_bad_input_is_named_and_heals_by_itself(lab: Lab) -> None:
    await apply(lab)
    await lab.client.delete(DEPLOYMENT, lab.namespace, "catalog")

    async def condition() -> Object | None:
        found = (await lab.status()).get("conditions") or ()
        return next((c for c in found if c["type"] == "Blocked"), None)

    async with lab.controller():
        blocked = await until(condition, "a condition")
        assert blocked["reason"] == "TargetNotFound"
        assert "spec.targetRef.name" in blocked["message"]
        assert "create it, or correct the name" in blocked["message"]
        await until(lab.events, "an event")
        assert await lab.events() == [blocked["message"]]
        target = deployment()
        target["metadata"]["namespace"] = lab.namespace
        await lab.client.create(DEPLOYMENT, target)
        await lab.phase("Initialized")
        assert await condition() is None

        broken = {"spec": {"analysis": {"metrics": [errors("sum(rate(")]}}}
        await lab.patch(CANARY, "catalog-release", broken)
        await lab.new_image("catalog:2")
        blocked = await until(condition, "a condition")
        assert blocked["reason"] == "QueryRefused"
        assert "spec.analysis.metrics[0].query" in blocked["message"]
        assert "parse error" in blocked["message"]
        await until(lambda: lab.weights[-1:] == [(90, 10)], "the first step, and no other")
        mended = {"spec": {"analysis": {"metrics": [errors()]}}}
        await lab.patch(CANARY, "catalog-release", mended)
        await until(lambda: lab.weights[-1] == (80, 20), "the next step")

        async def healed() -> bool:
            return await condition() is None

        await until(healed, "the status, which is written after the routes")


async def test_idle_it_asks_for_nothing(own_apiserver: ApiServer, metrics_server: str) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        await install_crds(client)
        lab = Lab(
            client=client,
            namespace="default",
            options=options(own_apiserver.kubeconfig, "default", metrics_server),
        )
        await apply(lab)
        async with lab.controller():
            async with lab.watched():
                await lab.phase("Initialized")
            await asyncio.sleep(1)  # what was under way ends
            before = len(own_apiserver.requests())
            await asyncio.sleep(5)
            asked = own_apiserver.requests(skip=before)
        assert [each["requestURI"] for each in asked if "rollout" in each["userAgent"]] == []


async def test_the_api_server_is_gone_for_a_while(
    own_apiserver: ApiServer, metrics_server: str
) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        await install_crds(client)
        lab = Lab(
            client=client,
            namespace="default",
            options=options(own_apiserver.kubeconfig, "default", metrics_server),
        )
        await apply(lab)
        async with lab.controller(), lab.watched():
            await lab.phase("Initialized")
            await lab.new_image("catalog:2")
            await until(lambda: lab.shown[-1:] == [("Progressing", 20)], "20 %")
            own_apiserver.stop()
            await asyncio.sleep(6)
            await asyncio.to_thread(own_apiserver.start)
            await lab.phase("Succeeded", 60)
        assert lab.weights == [(100 - w, w) for w in (0, 10, 20, 30, 40, 50, 0)]
