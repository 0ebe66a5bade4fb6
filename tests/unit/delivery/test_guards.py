"""Scalers and disruption budgets: the primary has its own, and the target's scaler sleeps while nothing is analysed."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.kinds import (
    CANARY,
    HORIZONTAL_POD_AUTOSCALER,
    POD_DISRUPTION_BUDGET,
    SCALED_OBJECT,
)
from rollout.delivery.objects.scalers import PAUSED
from rollout.judge.checks import Value
from rollout.kube.objects import Object, annotations_of
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized

METRICS = [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]


def scaler(kind: str = "HorizontalPodAutoscaler", **spec: Any) -> Object:
    keda = kind == "ScaledObject"
    bounds = {"minReplicaCount": 3} if keda else {"minReplicas": 3, "maxReplicas": 9}
    return {
        "apiVersion": "keda.sh/v1alpha1" if keda else "autoscaling/v2",
        "kind": kind,
        "metadata": {"name": "load", "namespace": KEY.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"},
            **bounds,
            **spec,
        },
    }


def scaled(kind: str = "HorizontalPodAutoscaler", **ref: Any) -> Object:
    api = scaler(kind)["apiVersion"]
    return canary(autoscalerRef={"apiVersion": api, "kind": kind, "name": "load", **ref})


def budget(name: str = "calm", **spec: Any) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": KEY.namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "catalog"}}, **spec},
    }


async def test_the_primary_is_scaled_as_the_target_would_be() -> None:
    world = await initialized(deployment(), scaler(metrics=METRICS), scaled())
    made = world.need(HORIZONTAL_POD_AUTOSCALER, "load-primary")
    assert made["spec"] == {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "catalog-primary",
        },
        "minReplicas": 3,
        "maxReplicas": 9,
        "metrics": METRICS,
    }
    assert made["metadata"]["ownerReferences"][0]["name"] == KEY.name
    assert "HorizontalPodAutoscaler/load" not in world.writes


async def test_the_canary_begins_with_what_its_scaler_keeps_at_least() -> None:
    world = await initialized(deployment(), scaler(), scaled())
    world.new_image("catalog:2")
    await world.settle()
    assert world.replicas() == 3


async def test_bounds_of_the_primary() -> None:
    bounds = {"minReplicas": 5, "maxReplicas": 20}
    world = await initialized(deployment(), scaler(), scaled(primaryScalerReplicas=bounds))
    spec = world.need(HORIZONTAL_POD_AUTOSCALER, "load-primary")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (5, 20)


async def test_a_scaler_follows_at_rest_and_with_its_revision() -> None:
    world = await initialized(deployment(), scaler(), scaled())

    def most() -> int:
        spec = world.need(HORIZONTAL_POD_AUTOSCALER, "load-primary")["spec"]
        return int(spec["maxReplicas"])

    world.change(HORIZONTAL_POD_AUTOSCALER, "load", spec={"maxReplicas": 12})
    await world.settle()
    assert most() == 12, "what is promoted serves more at once"
    world.new_image("catalog:2")
    await world.settle()
    world.change(HORIZONTAL_POD_AUTOSCALER, "load", spec={"maxReplicas": 4})
    await world.tick(3)
    assert most() == 12, "the primary is not touched while its successor is judged"
    await world.tick(6)
    assert (world.phase, most()) == ("Succeeded", 4)


async def test_a_failed_revisions_scaler_is_not_the_primarys() -> None:
    world = await initialized(deployment(), scaler(), scaled())
    world.success_rate = Value(12)
    world.new_image("catalog:2")
    world.change(HORIZONTAL_POD_AUTOSCALER, "load", spec={"maxReplicas": 4})
    await world.settle()
    await world.tick(9)
    assert world.phase == "Failed"
    assert world.need(HORIZONTAL_POD_AUTOSCALER, "load-primary")["spec"]["maxReplicas"] == 9


TRIGGERS = [
    {"type": "prometheus", "name": "rate", "metadata": {"query": "r{app='catalog'}", "a": "b"}},
    {"type": "prometheus", "name": "both", "metadata": {"query": "catalog-canary + catalog"}},
    {"type": "cron", "metadata": {"start": "0 6 * * *"}},
]


async def test_a_scaled_object_sleeps_until_there_is_something_to_do() -> None:
    advanced = {"horizontalPodAutoscalerConfig": {"name": "own", "behavior": {}}}
    source = scaler("ScaledObject", triggers=TRIGGERS, advanced=advanced)
    world = await initialized(deployment(), source, scaled("ScaledObject"))

    def asleep() -> bool:
        return annotations_of(world.need(SCALED_OBJECT, "load")).get(PAUSED) == "0"

    made = world.need(SCALED_OBJECT, "load-primary")
    assert made["spec"]["scaleTargetRef"]["name"] == "catalog-primary"
    queries = [each["metadata"].get("query") for each in made["spec"]["triggers"]]
    assert queries == ["r{app='catalog-primary'}", "catalog-primary + catalog-primary", None]
    assert made["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"] == "own-primary"
    assert PAUSED not in annotations_of(made)
    assert asleep()
    world.change(SCALED_OBJECT, "load", metadata={"annotations": {PAUSED: None}})
    await world.settle()
    assert asleep(), "whoever wakes it is set right"
    world.new_image("catalog:2")
    await world.settle()
    assert not asleep()
    assert world.replicas() == 3
    await world.tick(9)
    assert world.phase == "Succeeded"
    assert asleep()
    assert PAUSED not in annotations_of(world.need(SCALED_OBJECT, "load-primary"))


async def test_queries_of_the_primary_by_trigger() -> None:
    release = scaled("ScaledObject", primaryScalerQueries={"rate": "mine"})
    world = await initialized(deployment(), scaler("ScaledObject", triggers=TRIGGERS), release)
    triggers = world.need(SCALED_OBJECT, "load-primary")["spec"]["triggers"]
    assert triggers[0]["metadata"] == {"query": "mine", "a": "b"}
    assert triggers[1:] == TRIGGERS[1:]


@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ScaledObject"])
async def test_a_target_that_is_given_back_is_scaled_again(kind: str) -> None:
    release = scaled(kind)
    release["spec"]["revertOnDeletion"] = True
    world = await initialized(deployment(), scaler(kind), release)
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.settle()
    source = world.need(
        SCALED_OBJECT if kind == "ScaledObject" else HORIZONTAL_POD_AUTOSCALER, "load"
    )
    assert PAUSED not in annotations_of(source)
    assert world.replicas() == 2
    assert not world.need(CANARY, KEY.name)["metadata"]["finalizers"]


async def test_a_scaler_that_is_not_there_is_named_and_awaited() -> None:
    world = World(deployment(), scaled())
    await world.settle()
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "ScalerUnusable"
    said = "spec.autoscalerRef.name: there is no HorizontalPodAutoscaler 'load' (create it,"
    assert said in blocked["message"]
    assert world.replicas() == 2
    world.put(scaler())
    await world.settle()
    assert world.phase == "Initialized"


async def test_a_scaler_of_something_else_is_named() -> None:
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    world = World(deployment(), scaler(scaleTargetRef=other), scaled())
    await world.settle()
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert "'load' scales Deployment 'shop' (set its spec.scaleTargetRef" in blocked["message"]


async def test_a_rollback_needs_no_scaler() -> None:
    world = await initialized(deployment(), scaler(), scaled())
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.remove(HORIZONTAL_POD_AUTOSCALER, "load")
    world.success_rate = Value(12)
    await world.tick(6)
    assert (world.phase, world.served, world.replicas()) == ("Failed", (100, 0), 0)


async def test_the_primarys_pods_are_kept_as_the_targets_are() -> None:
    world = await initialized(deployment(), budget(), canary())
    made = world.need(POD_DISRUPTION_BUDGET, "calm-primary")["spec"]
    assert made == {"minAvailable": 1, "selector": {"matchLabels": {"app": "catalog-primary"}}}
    world.change(POD_DISRUPTION_BUDGET, "calm", spec={"minAvailable": 2})
    await world.settle()
    assert world.need(POD_DISRUPTION_BUDGET, "calm-primary")["spec"]["minAvailable"] == 2
    world.remove(POD_DISRUPTION_BUDGET, "calm")
    await world.settle()
    assert world.get(POD_DISRUPTION_BUDGET, "calm-primary") is None


OTHERS = {
    "both already": [budget(selector={"matchExpressions": [{"key": "app", "operator": "Exists"}]})],
    "the primary already": [
        budget(),
        budget("own", selector={"matchLabels": {"app": "catalog-primary"}}),
    ],
    "somebody else's pods": [budget(selector={"matchLabels": {"app": "shop"}})],
    "its name is taken": [budget(), budget("calm-primary", selector={"matchLabels": {"x": "y"}})],
}


@pytest.mark.parametrize("name", OTHERS)
async def test_no_pod_has_two_budgets(name: str) -> None:
    world = await initialized(deployment(), *OTHERS[name], canary())
    names = {each["metadata"]["name"] for each in world.stores[POD_DISRUPTION_BUDGET].list()}
    assert names == {each["metadata"]["name"] for each in OTHERS[name]}
    assert not [write for write in world.writes if write.startswith("PodDisruptionBudget")]


async def test_two_budgets_of_the_target_make_one_of_the_primary() -> None:
    world = await initialized(deployment(), budget("a"), budget("b"), canary())
    assert world.get(POD_DISRUPTION_BUDGET, "a-primary") is not None
    assert world.get(POD_DISRUPTION_BUDGET, "b-primary") is None
