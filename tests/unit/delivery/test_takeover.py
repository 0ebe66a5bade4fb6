"""A cluster where Flagger ran: its statuses and objects, and this program in its place."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rollout.api.kinds import CANARY, CONFIG_MAP, DEPLOYMENT, VIRTUAL_SERVICE
from rollout.delivery.hooks.call import Agreed, Refused
from rollout.delivery.revision import is_foreign
from rollout.delivery.targets import DEPLOYMENTS
from rollout.judge.checks import Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import (
    KEY,
    World,
    canary,
    deployment,
    initialized,
    shown,
    target,
    target_ref,
)

FLAGGERS_ID = "0e8f6c3a-9f0e-4b8e-9a51-7d9f8e0b6c11"
_OURS_ALONE = ("analysis", "history", "mirroring", "command")
BLUE_GREEN = {"stepWeight": None, "maxWeight": None, "iterations": 3}
AB = BLUE_GREEN | {"match": [{"headers": {"x": {"exact": "y"}}}]}
APPROVAL = {"type": "confirm-promotion", "name": "gate", "url": "http://gate"}


def flaggers(world: World, **status: Any) -> None:
    """Make of what the world has what Flagger would have left of it, and start this program anew."""
    written = {k: v for k, v in world.status.items() if k not in _OURS_ALONE}
    written["lastPromotedSpec"] = "6d5f7c8b9d"
    written["lastAppliedSpec"] = "5474b9f6c4" if written["phase"] != "Succeeded" else "6d5f7c8b9d"
    release = copy.deepcopy(world.need(CANARY, KEY.name))
    world.put({**release, "status": {**written, **status}})
    primary = copy.deepcopy(world.need(world.target_kind.kind, "catalog-primary"))
    if "template" in primary["spec"]:
        primary["spec"]["template"]["metadata"]["annotations"]["flagger-id"] = FLAGGERS_ID
    world.put(primary)
    world.roll()
    for seen in (world.columns, world.events, world.writes, world.queries, world.shares):
        seen.clear()
    world.restart()


def rolled(world: World, name: str = "catalog", at: str = "2026-01-20T23:30:00Z") -> None:
    """The Deployment got another template at that time, its controller says."""
    target = copy.deepcopy(world.need(DEPLOYMENT, name))
    target["status"]["conditions"] = [
        {"type": "Progressing", "status": "True", "lastUpdateTime": at}
    ]
    world.put(target)
    world.stuck = {name}


async def succeeded() -> World:
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(8)
    assert world.phase == "Succeeded"
    return world


async def failed() -> World:
    world = await initialized()
    world.new_image("catalog:bad")
    await world.settle()
    world.success_rate = Value(0)
    await world.tick(6)
    assert world.phase == "Failed"
    world.success_rate = Value(100)
    return world


async def at_thirty() -> World:
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(3)
    assert world.served == (70, 30)
    return world


@pytest.mark.parametrize("settled", [initialized, succeeded, failed])
async def test_a_settled_canary_stays_where_it_is(
    settled: Callable[[], Awaitable[World]],
) -> None:
    world = await settled()
    phase, primary = world.phase, copy.deepcopy(world.need(DEPLOYMENT, "catalog-primary"))
    flaggers(world)
    await world.settle()
    await world.tick(5)
    primary["spec"]["template"]["metadata"]["annotations"]["flagger-id"] = FLAGGERS_ID
    assert world.need(DEPLOYMENT, "catalog-primary")["spec"] == primary["spec"]
    assert world.writes == ["Canary/status"]
    assert list(shown(world)) == [f"{phase} 0"]
    assert [e for e in world.events if not e.startswith("[TakenOver] ")] == []
    assert not is_foreign(world.status["lastAppliedSpec"])
    world.new_image("catalog:3")
    await world.settle()
    await world.tick(8)
    assert (world.phase, world.image("catalog-primary")) == ("Succeeded", "catalog:3")
    assert not is_foreign(world.status["lastPromotedSpec"])


async def test_what_changed_while_nobody_looked_is_analysed() -> None:
    world = await succeeded()
    flaggers(world)
    world.new_image("catalog:3")
    await world.settle()
    assert list(shown(world)) == ["Progressing 0"]
    await world.tick(8)
    assert world.image("catalog-primary") == "catalog:3"


async def test_the_primary_may_have_been_restarted_by_hand() -> None:
    world = await succeeded()
    flaggers(world)
    restarted = {"kubectl.kubernetes.io/restartedAt": "2026-01-20T23:00:00Z"}
    world.change(
        DEPLOYMENT,
        "catalog-primary",
        spec={"template": {"metadata": {"annotations": restarted}}},
    )
    await world.settle()
    assert world.phase == "Succeeded"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_failed_canary_is_tried_again_only_with_another_template(when: str) -> None:
    world = await failed()
    flaggers(world)
    rolled(world, at="2026-01-20T22:51:00Z" if when == "before" else "2026-01-21T22:51:00Z")
    await world.settle()
    assert world.phase == ("Failed" if when == "before" else "Progressing")


async def test_a_failed_canary_that_goes_back_by_hand_needs_no_analysis() -> None:
    world = await failed()
    flaggers(world)
    await world.settle()
    assert "`rollout retry catalog-release` analyses it" in world.events[0]
    world.new_image("catalog:1")
    await world.settle()
    await world.tick(2)
    assert world.phase == "Failed"
    world.new_image("catalog:bad")
    await world.settle()
    assert world.phase == "Progressing"


async def test_an_analysis_goes_on_from_its_weight() -> None:
    world = await at_thirty()
    flaggers(world, failedChecks=2)
    await world.settle()
    await world.tick()
    assert list(shown(world)) == ["Progressing 30", "Progressing 40"]
    assert world.events[0] == (
        "[TakenOver] Taken over catalog-release.shop: the analysis of catalog.shop goes on at 30 %"
    )
    assert world.status["failedChecks"] == 2
    await world.tick(4)
    assert world.phase == "Succeeded"
    assert world.shares == [(60, 40), (50, 50), (100, 0)]
    assert world.image("catalog-primary") == "catalog:2"


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet", "Service"])
@pytest.mark.parametrize("ticks", [0, 3])
async def test_other_targets_go_on_too(kind: str, ticks: int) -> None:
    world = await initialized(target(kind), canary(targetRef=target_ref(kind)))
    if ticks:
        world.new_image("catalog:2")
        await world.settle()
        await world.tick(ticks)
    flaggers(world)
    await world.settle()
    assert (world.phase, world.weight) == (("Progressing", 30) if ticks else ("Initialized", 0))
    assert world.writes == ["Canary/status"]
    await world.tick(2)
    assert list(shown(world))[1:] == (["Progressing 40", "Progressing 50"] if ticks else [])


async def test_an_analysis_begins_again_where_the_target_moved_meanwhile() -> None:
    world = await at_thirty()
    flaggers(world)
    world.new_image("catalog:3")
    assert world.served == (70, 30)
    await world.look()
    assert world.writes == [], "what became of the change is not known yet"
    world.report("catalog")
    rolled(world)
    await world.settle()
    assert list(shown(world)) == ["Progressing 0"]
    assert world.served == (100, 0)


@pytest.mark.parametrize(
    ("spec", "ticks", "status", "served"),
    [
        pytest.param({"analysis": AB}, 1, {"canaryWeight": 0, "iterations": 1}, (0, 100), id="A/B"),
        pytest.param({"analysis": BLUE_GREEN}, 1, {"iterations": 1}, (100, 0), id="blue/green"),
        pytest.param(
            {"analysis": {"webhooks": [APPROVAL]}},
            6,
            {"canaryWeight": 0, "iterations": -1},
            (50, 50),
            id="waiting for its promotion",
        ),
    ],
)
async def test_what_flaggers_status_does_not_say_is_seen_in_the_routes(
    spec: dict[str, Any], ticks: int, status: dict[str, int], served: tuple[int, int]
) -> None:
    world = World(deployment(), canary(**spec))
    await world.settle()
    world.hooks = {"gate": Refused("closed")}
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(ticks)
    assert world.served == served
    flaggers(world, **status)
    await world.settle()
    assert world.shares in ([], [served])
    world.hooks = {"gate": Agreed()}
    await world.tick(8)
    assert (world.phase, world.image("catalog-primary")) == ("Succeeded", "catalog:2")


@pytest.mark.parametrize("phase", ["Promoting", "Finalising"])
async def test_a_promotion_is_finished(phase: str) -> None:
    world = await at_thirty()
    await world.tick(3)
    while world.phase != phase:
        await world.tick()
    template = copy.deepcopy(world.need(DEPLOYMENT, "catalog-primary")["spec"]["template"])
    flaggers(world, canaryWeight=50 if phase == "Promoting" else 0)
    await world.settle()
    await world.tick(3)
    assert world.phase == "Succeeded"
    assert not [each for each in shown(world) if each.startswith("Progressing")]
    template["metadata"]["annotations"]["flagger-id"] = FLAGGERS_ID
    assert world.need(DEPLOYMENT, "catalog-primary")["spec"]["template"] == template


async def test_a_primary_that_flagger_has_just_made_is_not_rolled() -> None:
    world = World()
    await world.look()
    flaggers(world)
    assert world.phase == "Initializing"
    await world.settle()
    assert world.phase == "Initialized"
    template = world.need(DEPLOYMENT, "catalog-primary")["spec"]["template"]
    assert template["metadata"]["annotations"]["flagger-id"] == FLAGGERS_ID


@pytest.mark.parametrize("changed", [False, True])
async def test_configs_are_compared_by_flaggers_checksums(changed: bool) -> None:
    settings: Object = {"kind": "ConfigMap", "apiVersion": "v1", "data": {"greeting": "hello"}}
    settings["metadata"] = {"name": "settings", "namespace": KEY.namespace}
    settings["binaryData"] = {"logo": "AAAA"}
    pod: Object = {"volumes": [{"name": "s", "configMap": {"name": "settings"}}]}
    world = await initialized(deployment(**pod), canary(), settings)
    # sha256 of {"greeting":"hello"}: Flagger leaves binaryData out.
    flaggers(world, trackedConfigs={"configmap/settings": "aac83f481075f7ca"})
    assert world.get(CONFIG_MAP, "settings-primary")
    if changed:
        world.put({**settings, "data": {"greeting": "good day"}})
    await world.settle()
    assert world.phase == ("Progressing" if changed else "Initialized")


async def test_a_deleted_canary_of_flaggers_gives_everything_back() -> None:
    world = await initialized(deployment(), canary(revertOnDeletion=True))
    flaggers(world)
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.settle()
    assert world.replicas() == 2
    assert world.get(VIRTUAL_SERVICE, "catalog") is None
    assert world.need(CANARY, KEY.name)["metadata"]["finalizers"] == []


def test_this_versions_revisions_are_those_of_the_versions_before() -> None:
    """Whoever changes the format gives it another prefix: then canaries are taken over, and none is begun again."""
    assert DEPLOYMENTS.revision(deployment()) == "v1-605f6fcb32f1c83c"
    assert is_foreign("v2-0123456789abcdef")
    assert is_foreign("v2:0123456789abcdef")
