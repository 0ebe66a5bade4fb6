"""Playbooks: what a canary lives through, told as its users see it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.api.kinds import CANARY, CONFIG_MAP, DEPLOYMENT, SERVICE, VIRTUAL_SERVICE
from rollout.judge.checks import NoData, QueryFailed, Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import INTERVAL, KEY, World, canary, deployment, initialized, shown

_WAITING = "waiting for rollout to finish: "
_UNOBSERVED = f"{_WAITING}observed deployment generation less than desired generation"
_NONE_OF_TWO = f"{_WAITING}0 of 2 (readyThreshold 100%) updated replicas are available"


async def test_a_new_canary_is_initialized_before_the_target_goes() -> None:
    world = World()
    await world.look()
    assert list(shown(world)) == ["Initializing 0"]
    assert world.get(SERVICE, "catalog") is None, "nothing serves yet, so nothing is switched"
    assert world.replicas() == 2
    await world.settle()
    assert list(shown(world)) == ["Initializing 0", "Initialized 0"]
    assert world.events[-1] == "Initialization done! catalog-release.shop"
    assert world.replicas() == 0
    assert world.replicas("catalog-primary") == 2
    assert world.served == (100, 0)
    switched = world.writes.index("VirtualService/catalog")
    gone = len(world.writes) - 1 - world.writes[::-1].index("Deployment/catalog")
    assert world.writes.index("Service/catalog") < switched < world.writes.index("sleep 2") < gone


async def test_a_good_revision_is_promoted() -> None:
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    assert list(shown(world)) == ["Progressing 0"]
    for _ in range(8):
        await world.tick()
    assert list(shown(world)) == [
        "Progressing 0",
        "Progressing 10",
        "Progressing 20",
        "Progressing 30",
        "Progressing 40",
        "Progressing 50",
        "Promoting 0",
        "Finalising 0",
        "Succeeded 0",
    ]
    assert world.events == [
        "New revision detected! Scaling up catalog.shop",
        f"W canary deployment catalog.shop not ready: {_UNOBSERVED}",
        "Starting canary analysis for catalog.shop",
        "Advance catalog-release.shop canary weight 10",
        "Advance catalog-release.shop canary weight 20",
        "Advance catalog-release.shop canary weight 30",
        "Advance catalog-release.shop canary weight 40",
        "Advance catalog-release.shop canary weight 50",
        "Copying catalog.shop template spec to catalog-primary.shop",
        f"W catalog-primary.shop not ready: {_UNOBSERVED}",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down catalog.shop",
    ]
    assert world.image("catalog-primary") == "catalog:2"
    assert world.served == (100, 0)
    assert world.replicas() == 0
    assert len(world.queries) == 2 * 5, "two checks before each step but the first"
    assert world.status["lastPromotedSpec"] == world.status["lastAppliedSpec"]


async def test_a_bad_revision_is_rolled_back_and_the_primary_is_not_touched() -> None:
    world = await initialized()
    primary = world.need(DEPLOYMENT, "catalog-primary")
    world.new_image("catalog:bad")
    await world.settle()
    await world.tick(2)
    assert world.weight == 20
    world.success_rate = Value(69.174)
    await world.tick(5)
    assert list(shown(world))[-2:] == ["Progressing 20", "Failed 0"]
    halts = [event for event in world.events if "Halt" in event]
    assert halts == ["W Halt catalog-release.shop advancement success rate 69.17% < 99%"] * 5
    assert world.events[-2:] == [
        "W Rolling back catalog-release.shop failed checks threshold reached 5",
        "W Canary failed! Scaling down catalog-release.shop",
    ]
    assert world.served == (100, 0)
    assert world.replicas() == 0
    assert world.need(DEPLOYMENT, "catalog-primary")["spec"] == primary["spec"]


async def test_a_failed_canary_costs_no_writes_and_tries_the_next_revision() -> None:
    world = await initialized()
    world.new_image("catalog:bad")
    await world.settle()
    world.success_rate = Value(0)
    await world.tick(6)
    assert world.phase == "Failed"
    world.writes.clear()
    await world.tick(20)
    assert world.writes == []
    world.success_rate = Value(100)
    world.new_image("catalog:3")
    await world.settle()
    await world.tick(8)
    assert world.phase == "Succeeded"
    assert world.image("catalog-primary") == "catalog:3"


async def test_going_back_by_hand_is_no_change_but_the_bad_revision_is_one_again() -> None:
    world = await initialized()
    world.new_image("catalog:bad")
    await world.settle()
    world.success_rate = Value(0)
    await world.tick(6)
    world.new_image("catalog:1")
    await world.settle()
    assert world.phase == "Failed"
    world.new_image("catalog:bad")
    await world.settle()
    assert world.phase == "Progressing"


async def test_a_change_during_the_analysis_starts_it_again() -> None:
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(3)
    assert world.served == (70, 30)
    world.new_image("catalog:3")
    await world.look()
    assert world.served == (100, 0)
    assert world.phase == "Progressing"
    assert world.events[-2] == "New revision detected! Restarting analysis for catalog.shop"
    await world.settle()
    await world.tick(8)
    assert world.image("catalog-primary") == "catalog:3"


async def test_nothing_moves_before_the_pods_are_ready_and_the_deadline_ends_the_wait() -> None:
    world = await initialized()
    world.stuck = {"catalog"}
    world.new_image("catalog:slow")
    await world.settle()
    world.report("catalog", available=0)
    world.now += timedelta(seconds=59)
    await world.settle()
    assert (world.phase, world.weight, world.served) == ("Progressing", 0, (100, 0))
    assert world.events[-1] == f"W canary deployment catalog.shop not ready: {_NONE_OF_TWO}"
    world.now += timedelta(seconds=1)
    await world.settle()
    assert world.phase == "Failed"
    waiting = f"canary deployment catalog.shop not ready: {_NONE_OF_TWO}"
    assert world.events[-3:] == [
        f"W {waiting}",
        f"W Rolling back catalog-release.shop progress deadline exceeded {waiting}",
        "W Canary failed! Scaling down catalog-release.shop",
    ]
    assert world.replicas() == 0


async def test_skip_analysis_promotes_as_soon_as_the_canary_is_ready() -> None:
    world = await initialized(deployment(), canary(skipAnalysis=True))
    world.new_image("catalog:2")
    await world.settle()
    assert list(shown(world)) == ["Progressing 0", "Succeeded 0"]
    assert world.events[-1] == ("Promotion completed! Canary analysis was skipped for catalog.shop")
    assert world.image("catalog-primary") == "catalog:2"
    assert world.replicas() == 0


async def test_a_suspended_canary_does_nothing_and_says_so_once() -> None:
    world = await initialized()
    world.change(CANARY, KEY.name, spec={"suspend": True})
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(3)
    assert world.events == ["skipping canary run as object is suspended"]
    assert world.writes == []
    world.change(CANARY, KEY.name, spec={"suspend": None})
    await world.settle()
    assert world.phase == "Progressing"


async def test_traffic_goes_back_in_steps() -> None:
    world = await initialized(deployment(), canary(analysis={"stepWeightPromotion": 20}))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(10)
    back = [(50, 50), (70, 30), (90, 10), (100, 0)]
    assert world.shares[-4:] == back
    assert "Advance catalog-release.shop primary weight 70" in world.events
    assert list(shown(world))[-4:] == [
        "Promoting 30",
        "Promoting 10",
        "Finalising 0",
        "Succeeded 0",
    ]


async def test_a_step_is_due_an_interval_after_the_very_moment_of_the_last() -> None:
    world = await initialized()
    world.now += timedelta(milliseconds=800)
    world.new_image("catalog:2")
    await world.settle()
    world.now += INTERVAL - timedelta(milliseconds=300)
    await world.settle()
    assert world.served == (100, 0), "the status says whole seconds, and it would be due by them"
    world.restart()
    await world.settle()
    assert world.served == (90, 10), "who knows the status alone goes by it"


async def test_listed_steps() -> None:
    world = await initialized(
        deployment(), canary(analysis={"stepWeight": None, "stepWeights": [1, 5, 40]})
    )
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(6)
    assert world.shares[-5:] == [(100, 0), (99, 1), (95, 5), (60, 40), (100, 0)]
    assert world.phase == "Succeeded"


async def test_a_changed_config_rolls_and_promotes_its_copy() -> None:
    settings: Object = {"kind": "ConfigMap", "apiVersion": "v1", "data": {"greeting": "hello"}}
    settings["metadata"] = {"name": "settings", "namespace": KEY.namespace}
    pod: Object = {"volumes": [{"name": "s", "configMap": {"name": "settings"}}]}
    world = await initialized(deployment(**pod), canary(), settings)
    assert world.need(CONFIG_MAP, "settings-primary")["data"] == {"greeting": "hello"}
    template = world.need(DEPLOYMENT, "catalog-primary")["spec"]["template"]
    assert template["spec"]["volumes"][0]["configMap"]["name"] == "settings-primary"
    world.put({**settings, "data": {"salutation": "good day"}})
    await world.settle()
    assert world.phase == "Progressing"
    assert world.need(CONFIG_MAP, "settings-primary")["data"] == {"greeting": "hello"}
    await world.tick(8)
    assert world.phase == "Succeeded"
    assert world.need(CONFIG_MAP, "settings-primary")["data"] == {"salutation": "good day"}
    rolled = world.need(DEPLOYMENT, "catalog-primary")["spec"]["template"]
    assert rolled["metadata"]["annotations"] != template["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("answer", "reason", "event"),
    [
        pytest.param(
            NoData("no values found"),
            "NoValues",
            "W Halt advancement no values found for istio metric request-success-rate probably "
            "catalog.shop is not receiving traffic: no values found",
            id="no traffic",
        ),
        pytest.param(
            QueryFailed("http://prometheus:9090 does not answer: refused", retriable=True),
            "MetricsUnreachable",
            "W Prometheus query failed: spec.analysis.metrics[0]: "
            "http://prometheus:9090 does not answer: refused",
            id="unreachable",
        ),
        pytest.param(
            QueryFailed("parse error", retriable=False),
            "QueryRefused",
            "W Prometheus query failed: spec.analysis.metrics[0]: parse error",
            id="query refused",
        ),
    ],
)
async def test_without_evidence_traffic_stays_and_the_canary_recovers(
    answer: NoData | QueryFailed, reason: str, event: str
) -> None:
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick()
    world.success_rate = answer
    await world.tick(3)
    assert (world.phase, world.served) == ("Progressing", (90, 10))
    assert world.status["failedChecks"] == 3
    assert world.events[-3:] == [event] * 3
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == reason
    world.success_rate = Value(100)
    await world.tick()
    assert world.served == (80, 20)
    assert world.condition("Blocked") is None
    assert [c["type"] for c in world.status["conditions"]] == ["Promoted"]


async def test_a_deleted_canary_gives_everything_back_before_it_goes() -> None:
    apex = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "catalog", "namespace": KEY.namespace},
        "spec": {"selector": {"app": "catalog"}, "ports": [{"name": "http", "port": 80}]},
    }
    world = await initialized(deployment(), canary(revertOnDeletion=True), apex)
    assert world.need(CANARY, KEY.name)["metadata"]["finalizers"] == ["finalizer.flagger.app"]
    assert world.need(SERVICE, "catalog")["spec"]["selector"] == {"app": "catalog-primary"}
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.look()
    assert world.phase == "Terminating"
    assert world.replicas() == 2
    assert world.need(SERVICE, "catalog")["spec"]["selector"] == {"app": "catalog-primary"}
    await world.settle()
    assert world.need(SERVICE, "catalog")["spec"]["selector"] == {"app": "catalog"}
    assert world.get(VIRTUAL_SERVICE, "catalog") is None
    assert world.need(CANARY, KEY.name)["metadata"]["finalizers"] == []
    assert world.writes[-2:] == ["sleep 2", f"Canary/{KEY.name}"]
    assert world.events[0] == "Terminating canary catalog-release.shop"
    assert world.events[-1] == "Terminated canary catalog-release.shop"


async def test_going_back_while_another_revision_is_analysed_gives_no_traffic_before_checks() -> (
    None
):
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.stuck.add("catalog")
    world.new_image("catalog:1")
    await world.settle()
    assert world.events[-2:] == [
        "New revision detected! Restarting analysis for catalog.shop",
        f"W canary deployment catalog.shop not ready: {_UNOBSERVED}",
    ]
    assert (world.phase, world.served) == ("Progressing", (100, 0))
    world.stuck.clear()
    await world.tick(9)
    assert (world.phase, world.served) == ("Succeeded", (100, 0))
    assert world.image("catalog-primary") == "catalog:1"
