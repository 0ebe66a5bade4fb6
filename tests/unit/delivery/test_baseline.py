"""Playbooks of canaries that are compared with fresh pods of the primary's version: when those are there, and what they get."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from rollout.api.kinds import (
    CANARY,
    DEPLOYMENT,
    DESTINATION_RULE,
    HTTP_ROUTE,
    SERVICE,
)
from rollout.delivery.objects.baseline import JUDGES, baseline
from rollout.delivery.phases.commands import COMMAND
from rollout.delivery.routing.router import Weights
from rollout.judge.sequential import Tick
from rollout.judge.trials import FAILED, Observation, Observed, Source
from rollout.kube.objects import Object
from tests.unit.delivery.routing.support import backend, gatewayed, http_route
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized

NAME = "catalog-baseline"
SECOND = timedelta(seconds=1)
KINDS = (DEPLOYMENT, SERVICE, DESTINATION_RULE)


def afresh(**judge: Any) -> dict[str, Any]:
    """An analysis whose steps nobody's requests decide: they are accepted after ten seconds."""
    metrics = [{"name": FAILED, "thresholdRange": {"min": 90}}]
    accepted = {"maxDuration": "10s", "onInconclusive": "promote"}
    given = {"method": "sequential", "baseline": "fresh", **(judge or accepted)}
    return {"judge": given, "metrics": metrics}


async def begun(**analysis: Any) -> World:
    """A world whose target has a new revision that nobody asks anything of yet."""
    world = await initialized(deployment(), canary(analysis={**afresh(), **analysis}))
    world.new_image("catalog:2")
    await world.settle()
    assert world.phase == "Progressing"
    return world


def there(world: World) -> list[str]:
    return [kind.kind for kind in KINDS if world.get(kind, NAME) is not None]


def split(world: World) -> tuple[int, int, int]:
    found = world.split
    assert found is not None
    return found.primary, found.canary, found.baseline


async def test_it_is_there_from_the_beginning_to_the_end_of_an_analysis() -> None:
    world = await initialized(deployment(replicas=3), canary(analysis=afresh()))
    assert there(world) == []
    world.new_image("catalog:2")
    await world.settle()
    assert there(world) == ["Deployment", "Service"]
    made = world.need(DEPLOYMENT, NAME)
    assert (made["spec"]["replicas"], world.image(NAME)) == (3, "catalog:1")
    assert world.need(SERVICE, NAME)["spec"]["selector"] == {"app": NAME}
    assert split(world) == (100, 0, 0), "its pods are up before anybody is asked anything"
    seen = []
    for _ in range(5):
        await world.tick()
        seen.append(split(world))
    assert seen == [(80, 10, 10), (60, 20, 20), (40, 30, 30), (20, 40, 40), (0, 50, 50)]
    assert there(world) == ["Deployment", "Service", "DestinationRule"]
    assert world.weight == 50, "the canary's share is what is shown"
    await world.tick()
    assert (world.phase, split(world)) == ("Promoting", (50, 50, 0))
    assert there(world) == []
    await world.tick(3)
    assert (world.phase, split(world)) == ("Succeeded", (100, 0, 0))
    assert world.image("catalog-primary") == "catalog:2"


async def test_no_request_is_on_its_way_to_pods_that_go() -> None:
    world = await begun(maxWeight=10)
    await world.tick()
    world.writes.clear()
    await world.tick()
    gone = [
        each
        for each in world.writes
        if each.endswith(NAME) or each.startswith(("sleep", "VirtualService"))
    ]
    assert gone == [
        "VirtualService/catalog",
        "sleep 2",
        f"Deployment/{NAME}",
        f"DestinationRule/{NAME}",
        f"Service/{NAME}",
    ]


@pytest.mark.parametrize(
    ("share", "wanted"),
    [
        (1, (98, 1, 1)),
        (50, (0, 50, 50)),
        (51, (0, 51, 49)),
        (80, (0, 80, 20)),
        (100, (0, 100, 0)),
    ],
)
def test_it_gets_as_much_as_the_canary_or_what_is_left(
    share: int, wanted: tuple[int, int, int]
) -> None:
    weights = Weights.beside_baseline(share)
    assert (weights.primary, weights.canary, weights.baseline) == wanted


async def test_a_bad_version_is_judged_by_it_and_it_goes() -> None:
    world = await initialized(deployment(), canary(analysis=afresh(tolerance=0.01)))
    world.settings = world.settings.__class__(minimum_interval=timedelta(seconds=10))
    world.restart()
    world.new_image("catalog:2")
    await world.settle()
    assert world.trial is not None
    assert world.trial.workloads == ("catalog", "catalog-primary"), "what is usual is learnt"
    for _ in range(45):
        await second(world, (0, 0), (0, 90))
    assert split(world) == (80, 10, 10)
    assert world.trial.workloads == ("catalog", NAME)
    assert (world.trial.canary, world.trial.reference) == ("catalog", NAME)
    for _ in range(60):
        await second(world, (1, 10), (0, 10))
        if world.phase == "Failed":
            break
    rolled = next(event for event in world.events if "Rolling back" in event)
    assert "canary " in rolled
    assert "baseline 0 of " in rolled
    assert "primary" not in rolled
    (metric,) = world.status["judge"]["metrics"]
    assert metric["baseline"].startswith("0 of ")
    assert "primary" not in metric
    check = world.status["analysis"][-1]["checks"][0]
    assert check["threshold"].startswith("baseline 0 of ")
    assert there(world) == []
    assert split(world) == (100, 0, 0)


async def second(world: World, canary: tuple[int, int], reference: tuple[int, int]) -> None:
    world.now += SECOND
    tick = Tick.of(canary, reference)
    world.looks.append(Observation(world.now, Source.PROXIES, {FAILED: (tick,)}))
    await world.settle()


async def test_the_primarys_requests_are_not_taken_for_the_baselines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await initialized(deployment(), canary(analysis=afresh(tolerance=0.01)))
    world.new_image("catalog:2")
    await world.settle()
    before = world.trial
    for _ in range(45):
        await second(world, (0, 0), (0, 90))
    assert world.weight == 10
    world.now += 6 * SECOND
    late = Observation(world.now, Source.PROXIES, {FAILED: (Tick.of((0, 10), (9, 900)),)})
    monkeypatch.setattr(world, "observed", lambda _: Observed((late,), "", before))
    await world.look()
    (metric,) = world.status["judge"]["metrics"]
    assert (metric["canary"], metric["baseline"]) == ("0 of 0", "0 of 0")


async def test_one_that_does_not_start_holds_the_canary_and_does_not_fail_it() -> None:
    world = await initialized(deployment(), canary(analysis=afresh()))
    world.stuck.add(NAME)
    world.new_image("catalog:2")
    await world.settle()
    world.report(NAME, available=0)
    await world.settle()
    assert any(f"baseline deployment {NAME}.shop not ready" in each for each in world.events)
    await world.tick(4)
    assert (world.phase, world.weight, world.status["failedChecks"]) == ("Progressing", 0, 0)
    blocked = world.condition("Blocked") or {}
    assert blocked["reason"] == "BaselineNotReady"
    assert "set spec.analysis.judge.baseline to primary" in blocked["message"]
    world.stuck.clear()
    await world.settle()
    assert world.condition("Blocked") is None
    assert world.weight == 10
    await world.tick(9)
    assert world.phase == "Succeeded"


async def test_without_a_pod_that_serves_it_gets_no_requests() -> None:
    world = await begun()
    await world.tick()
    assert split(world) == (80, 10, 10)
    world.stuck.add(NAME)
    world.report(NAME, available=0)
    await world.settle()
    assert split(world) == (90, 10, 0)
    await world.tick()
    assert world.weight == 10, "with nothing to compare with, nothing moves"
    world.stuck.clear()
    await world.settle()
    assert split(world) in {(80, 10, 10), (60, 20, 20)}


async def test_another_revision_is_compared_with_pods_as_fresh_as_its_own() -> None:
    world = await begun()
    await world.tick(2)
    old = world.need(DEPLOYMENT, NAME)["spec"]["template"]["metadata"]["annotations"][JUDGES]
    world.new_image("catalog:3")
    await world.settle()
    new = world.need(DEPLOYMENT, NAME)["spec"]["template"]["metadata"]["annotations"][JUDGES]
    assert new != old
    assert (world.weight, split(world)) == (0, (100, 0, 0))


async def test_it_has_as_many_pods_as_the_canary() -> None:
    world = await begun()
    world.change(DEPLOYMENT, "catalog", spec={"replicas": 5})
    await world.settle()
    assert world.replicas(NAME) == 5


async def set_to_primary(world: World) -> None:
    world.change(CANARY, KEY.name, spec={"analysis": {"judge": {"baseline": "primary"}}})
    await world.settle()
    assert world.trial is not None
    assert world.trial.workloads == ("catalog", "catalog-primary")
    assert split(world) == (80, 20, 0)


async def abort(world: World) -> None:
    world.change(CANARY, KEY.name, metadata={"annotations": {COMMAND: "abort@1"}})
    await world.settle()
    assert world.phase == "Failed"


async def promote(world: World) -> None:
    world.change(CANARY, KEY.name, metadata={"annotations": {COMMAND: "promote@1"}})
    await world.settle()
    assert world.image("catalog-primary") == "catalog:2"


async def delete(world: World) -> None:
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.settle()
    assert not world.need(CANARY, KEY.name)["metadata"]["finalizers"]


async def skip(world: World) -> None:
    world.change(CANARY, KEY.name, spec={"skipAnalysis": True})
    await world.settle()
    assert world.phase == "Succeeded"


@pytest.mark.parametrize("end", [set_to_primary, abort, promote, delete, skip])
async def test_whatever_ends_the_comparison_takes_it_away(end: Any) -> None:
    world = await begun()
    world.change(CANARY, KEY.name, spec={"revertOnDeletion": True})
    await world.tick(2)
    assert split(world) == (60, 20, 20)
    await end(world)
    assert there(world) == []


async def test_what_was_left_behind_is_found_and_removed() -> None:
    world = await begun()
    left = [copy.deepcopy(world.need(kind, NAME)) for kind in (DEPLOYMENT, SERVICE)]
    await world.tick(9)
    assert (world.phase, there(world)) == ("Succeeded", [])
    for each in left:
        world.put(each)
    await world.settle()
    assert there(world) == []
    assert world.phase == "Succeeded"


@pytest.mark.parametrize("kind", [DEPLOYMENT, SERVICE])
async def test_what_is_somebody_elses_is_named_and_left_alone(kind: Any) -> None:
    theirs: Object = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": NAME, "namespace": "shop"},
        "spec": deployment()["spec"] if kind == DEPLOYMENT else {"selector": {"app": "other"}},
    }
    world = await initialized(deployment(), canary(analysis=afresh()), theirs)
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    blocked = world.condition("Blocked") or {}
    assert blocked["reason"] == "BaselineNotReady"
    assert f"{kind.kind} {NAME} is somebody else's" in blocked["message"]
    assert world.need(kind, NAME)["spec"] == theirs["spec"]
    await abort(world)
    assert there(world) == [kind.kind]


async def test_it_follows_a_switch_in_the_middle() -> None:
    metrics = afresh()["metrics"]
    judge = {**afresh()["judge"], "baseline": "primary"}
    world = await initialized(deployment(), canary(analysis={"metrics": metrics, "judge": judge}))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert split(world) == (80, 20, 0)
    world.stuck.add(NAME)
    world.change(CANARY, KEY.name, spec={"analysis": {"judge": {"baseline": "fresh"}}})
    await world.settle()
    assert split(world) == (80, 20, 0), "not before its pods serve"
    world.stuck.clear()
    await world.settle()
    assert split(world) == (60, 20, 20)


async def by_gateway(*routes: Object) -> World:
    release = gatewayed()
    release["spec"]["analysis"] |= {**afresh(), "maxWeight": 20}
    world = await initialized(deployment(), release, *routes)
    world.new_image("catalog:2")
    await world.settle()
    return world


def refs(world: World) -> dict[str, int]:
    rule = world.need(HTTP_ROUTE, "catalog")["spec"]["rules"][-1]
    return {ref["name"]: ref["weight"] for ref in rule["backendRefs"]}


@pytest.mark.parametrize("theirs", [False, True], ids=["a route of its own", "somebody's route"])
async def test_gateway_routes_name_it_as_long_as_it_gets_requests(theirs: bool) -> None:
    pair = [backend("catalog-primary", 100), backend("catalog-canary", 0)]
    world = await by_gateway(*([http_route({"backendRefs": pair})] if theirs else []))
    assert refs(world) == {"catalog-primary": 100, "catalog-canary": 0}
    await world.tick()
    assert refs(world) == {"catalog-primary": 80, "catalog-canary": 10, NAME: 10}
    await world.tick()
    assert refs(world) == {"catalog-primary": 60, "catalog-canary": 20, NAME: 20}
    await world.tick()
    assert refs(world) == {"catalog-primary": 80, "catalog-canary": 20}
    assert there(world) == []
    await world.tick(3)
    assert world.phase == "Succeeded"
    assert refs(world) == {"catalog-primary": 100, "catalog-canary": 0}


async def test_the_services_of_both_kinds_of_sides_have_the_same_ports() -> None:
    world = await begun()
    ports = [
        world.need(SERVICE, f"catalog-{side}")["spec"]["ports"] for side in ("primary", "baseline")
    ]
    assert ports[0] == ports[1]


async def test_its_weight_is_a_series_while_it_has_one() -> None:
    world = await begun(maxWeight=10)
    labels = {"workload": NAME, "namespace": "shop"}

    def weight() -> float | None:
        return world.registry.get_sample_value("flagger_canary_weight", labels)

    assert weight() is None
    await world.tick()
    assert weight() == 10
    await world.tick()
    assert weight() is None


def test_the_deployment() -> None:
    primary = deployment()
    primary["metadata"] = {"name": "catalog-primary", "namespace": "shop", "labels": {"team": "a"}}
    terms = [{"labelSelector": {"matchLabels": {"app": "catalog-primary"}}}]
    primary["spec"] |= {
        "replicas": 7,
        "minReadySeconds": 3,
        "selector": {"matchLabels": {"app": "catalog-primary"}},
        "template": {
            "metadata": {
                "labels": {"app": "catalog-primary", "tier": "web"},
                "annotations": {"flagger-id": "id-1"},
            },
            "spec": {
                "volumes": [{"name": "a", "configMap": {"name": "settings-primary"}}],
                "topologySpreadConstraints": terms,
            },
        },
    }
    owner = canary()
    owner["metadata"]["uid"] = "uid-1"
    before = copy.deepcopy(primary)
    made = baseline(
        owner, primary, "catalog", ("app", "catalog"), judged="id-2", pods=2, prefixes=("team",)
    )
    assert primary == before
    assert made["metadata"]["name"] == NAME
    assert made["metadata"]["labels"] == {"team": "a", "app": NAME}
    (reference,) = made["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["controller"]) == ("Canary", True)
    assert made["spec"] == {
        "replicas": 2,
        "minReadySeconds": 3,
        "selector": {"matchLabels": {"app": NAME}},
        "template": {
            "metadata": {
                "labels": {"app": NAME, "tier": "web"},
                "annotations": {"flagger-id": "id-1", JUDGES: "id-2"},
            },
            "spec": {
                "volumes": [{"name": "a", "configMap": {"name": "settings-primary"}}],
                "topologySpreadConstraints": [{"labelSelector": {"matchLabels": {"app": NAME}}}],
            },
        },
    }
