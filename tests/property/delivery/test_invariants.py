"""Whatever the canary's numbers and whatever befalls it, some things never happen.

A random sequence of events is played in the simulated cluster: time passes, checks fail, pods do not start, revisions
come, somebody meddles with the routes, the controller is killed before any write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.api.canary import Canary, Phase
from rollout.api.kinds import CANARY, VIRTUAL_SERVICE, Kind
from rollout.delivery.readiness import Ready
from rollout.delivery.targets.target import Patience
from rollout.judge.checks import Answer, NoData, QueryFailed, Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import INTERVAL, KEY, World, canary, target, target_ref

weights = st.one_of(
    st.fixed_dictionaries({"stepWeight": st.integers(1, 100), "maxWeight": st.integers(1, 100)}),
    st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True).map(
        lambda steps: {"stepWeight": None, "maxWeight": None, "stepWeights": sorted(steps)}
    ),
)
MATCH = [{"headers": {"x-tester": {"exact": "yes"}}}]
counted = st.fixed_dictionaries(
    {
        "stepWeight": st.none(),
        "maxWeight": st.none(),
        "iterations": st.integers(1, 4),
        "match": st.sampled_from((None, MATCH)),
    }
)
copies = st.sampled_from(({}, {}, {"mirror": True}, {"mirror": True, "mirrorWeight": 30}))
cookies = st.sampled_from(
    (
        {},
        {"sessionAffinity": {"cookieName": "canary"}},
        {"sessionAffinity": {"cookieName": "canary", "primaryCookieName": "primary"}},
    )
)
specs = st.builds(
    lambda kind, way, copies, cookies, threshold, back, skip: {
        "targetRef": target_ref(kind),
        "analysis": {
            **way,
            **copies,
            **cookies,
            "threshold": threshold,
            "stepWeightPromotion": back,
        },
        "skipAnalysis": skip,
    },
    st.sampled_from(("Deployment", "Deployment", "DaemonSet", "StatefulSet", "Service")),
    st.one_of(weights, weights, counted),
    copies,
    cookies,
    st.integers(1, 3),
    st.sampled_from((0, 0, 15, 60)),
    st.sampled_from((False, False, False, True)),
)

ANSWERS: tuple[Answer, ...] = (
    Value(100),
    Value(100),
    Value(10),
    NoData("empty"),
    QueryFailed("away", retriable=True),
)
Befalls = Callable[[World], None]


def passes(seconds: int) -> Befalls:
    def act(world: World) -> None:
        world.now += timedelta(seconds=seconds)

    return act


def answers(answer: Answer) -> Befalls:
    return lambda world: setattr(world, "success_rate", answer)


def revision(number: int) -> Befalls:
    return lambda world: world.new_image(f"catalog:{number}")


def sticks(*names: str) -> Befalls:
    return lambda world: setattr(world, "stuck", set(names))


def pods_fail(name: str) -> Befalls:
    def act(world: World) -> None:
        kind = world.target_kind
        if kind.makes_pods and world.get(kind.kind, name) is not None:
            world.stuck = {*world.stuck, name}
            world.report(name, kind.kind, available=0)

    return act


def kills(writes: int | None) -> Befalls:
    return lambda world: setattr(world, "writes_left", writes)


def meddles(share: int) -> Befalls:
    def act(world: World) -> None:
        served = world.get(VIRTUAL_SERVICE, "catalog")
        if served is None:
            return
        first, second = splitting(served)["route"]
        route = [{**first, "weight": 100 - share}, {**second, "weight": share}]
        world.change(VIRTUAL_SERVICE, "catalog", spec={"http": [{"route": route}]})

    return act


befalls = st.one_of(
    st.sampled_from((1, 20, 45, 46, 100)).map(passes),
    st.just(passes(45)),
    st.just(passes(45)),
    st.sampled_from(ANSWERS).map(answers),
    st.integers(2, 4).map(revision),
    st.sampled_from(((), ("catalog",), ("catalog-primary",))).map(lambda names: sticks(*names)),
    st.sampled_from(("catalog", "catalog-primary")).map(pods_fail),
    st.integers(0, 6).map(kills),
    st.sampled_from((0, 50)).map(meddles),
)


class Watchdog:
    """Looks at each write of the controller, and remembers when it gave the canary more traffic."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stepped: datetime | None = None
        world.witnesses.append(self.saw)

    def saw(self, kind: Kind, old: Object, new: Object) -> None:
        """A write that changes an object."""
        if kind == VIRTUAL_SERVICE:
            self.route(shares(old), shares(new))
            for rule in new["spec"]["http"]:
                self.rule(rule, shares(new)[1])
        elif kind == self.world.target_kind.kind and new["metadata"]["name"] == "catalog-primary":
            revision = self.world.target_kind.revision
            promoted = self.world.target_kind.promotion_of
            self.promoted(revision(old) != revision(new) or promoted(old) != promoted(new))

    def route(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        assert sum(new) == 100
        assert min(new) >= 0
        recorded = self.world.weight
        if new[1] > max(old[1], recorded):
            assert self.ready("catalog"), f"{new} to a canary that is not ready"
            if self.world.phase == "Progressing":
                last = self.stepped
                assert last is None or self.world.now - last >= INTERVAL, "two steps in an interval"
                self.stepped = self.world.now
        if new[1] == 0:
            self.stepped = None
        if self.world.phase == "Promoting" and new[0] > old[0]:
            assert self.ready("catalog-primary"), f"{new} back to a primary that is not ready"

    def rule(self, rule: Object, share: int) -> None:
        """No rule sends requests, or copies of them, to pods that are not there."""
        assert sum(each["weight"] for each in rule["route"]) == 100
        to_canary = [each for each in rule["route"] if is_canary(each) and each["weight"]]
        if share == 0:
            assert not to_canary, f"{rule} with a canary that has no share"
        if "mirror" in rule:
            assert share == 0, "copies of requests that the canary has already"
            assert self.ready("catalog") or self.world.status.get("mirroring")
            assert self.world.phase in {"Progressing", "WaitingPromotion"}
        others = [each for each in self.bystanders(rule) if is_canary(each)]
        assert not others, "traffic of people who take no part"

    def bystanders(self, rule: Object) -> list[Object]:
        spec = Canary.parse(self.world.need(CANARY, KEY.name)).spec
        named = any("x-tester" in each["headers"] for each in rule.get("match", ()))
        return [] if named or not spec.analysis.match else rule["route"]

    def promoted(self, changed: bool) -> None:
        """The primary's template changes only at the first copy, or after a whole analysis."""
        if not changed:
            return
        phase, served = self.world.phase, self.world.served
        spec = Canary.parse(self.world.need(CANARY, KEY.name))
        if phase == Phase.INITIALIZING or spec.spec.skip_analysis:
            return
        assert phase == Phase.PROGRESSING
        assert served is not None
        if spec.spec.analysis.iterations:
            assert self.world.weight == 100
            assert self.world.status["iterations"] >= spec.spec.analysis.iterations
        else:
            assert self.world.weight >= spec.max_weight
        assert isinstance(self.world.success_rate, Value)
        assert self.world.success_rate.value >= 99

    def ready(self, name: str) -> bool:
        now = self.world.now
        patience = Patience(threshold=100, deadline=timedelta(seconds=60), since=now, now=now)
        kind = self.world.target_kind
        return isinstance(kind.readiness(self.world.need(kind.kind, name), patience), Ready)

    def at_rest(self) -> None:
        """What holds whenever the controller has nothing more to do."""
        world = self.world
        if world.phase == "Failed" and world.weight == 0:
            assert world.served == (100, 0)
            assert world.replicas() in {0, 2} or not world.target_kind.makes_pods
        if world.phase in {"Initialized", "Succeeded"}:
            assert world.served == (100, 0)


def splitting(served: Object) -> Object:
    """The rule that shares out requests: the last one that knows both sides."""
    rules = [rule for rule in served["spec"]["http"] if len(rule["route"]) > 1]
    found: Object = rules[-1]
    return found


def is_canary(share: Object) -> bool:
    return bool(share["destination"]["host"] == "catalog-canary")


def shares(served: Object) -> tuple[int, int]:
    first, second = splitting(served)["route"]
    return first["weight"], second["weight"]


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of looks are taken; nobody reads what they log."""
    with structlog.testing.capture_logs():
        yield


@settings(max_examples=100)
@given(spec=specs, events=st.lists(befalls, max_size=25))
def test_some_things_never_happen(spec: dict[str, object], events: list[Befalls]) -> None:
    async def play() -> None:
        release = canary(**spec)
        world = World(target(release["spec"]["targetRef"]["kind"]), release)
        watchdog = Watchdog(world)
        for event in (*events, sticks(), kills(None)):
            event(world)
            await world.settle()
            watchdog.at_rest()
        # Once everything works again, it comes to an end by itself.
        world.success_rate = Value(100)
        for _ in range(210):
            if world.phase in {"Initialized", "Succeeded", "Failed"}:
                break
            await world.tick()
        watchdog.at_rest()
        assert world.phase in {"Initialized", "Succeeded", "Failed"}
        assert world.status["failedChecks"] <= spec["analysis"]["threshold"]  # type: ignore[index]

    asyncio.run(play())
