"""Whatever befalls a canary that is compared with fresh pods: weights are shares, nobody is sent to pods that do not serve, and
nothing is left when nothing is judged.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.api.kinds import (
    CANARY,
    DEPLOYMENT,
    DESTINATION_RULE,
    HTTP_ROUTE,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.judge.checks import Value
from rollout.kube.objects import Object
from tests.property.delivery.test_invariants import (
    Befalls,
    kills,
    passes,
    pods_fail,
    revision,
    sticks,
)
from tests.unit.delivery.routing.support import gatewayed
from tests.unit.delivery.world import AFRESH, KEY, SETTLED, World, canary, deployment

NAME = "catalog-baseline"


def compares(baseline: str) -> Befalls:
    return lambda world: world.change(
        CANARY, KEY.name, spec={"analysis": {"judge": {"baseline": baseline}}}
    )


def measures(value: float) -> Befalls:
    return lambda world: setattr(world, "custom", Value(value))


befalls = st.one_of(
    st.sampled_from((1, 20, 45, 46, 100)).map(passes),
    st.just(passes(45)),
    st.just(passes(45)),
    st.sampled_from((0.0, 0.0, 9.0)).map(measures),
    st.integers(2, 4).map(revision),
    st.sampled_from(((), ("catalog",), ("catalog-primary",), (NAME,))).map(
        lambda names: sticks(*names)
    ),
    st.sampled_from(("catalog", "catalog-primary", NAME)).map(pods_fail),
    st.integers(0, 8).map(kills),
    st.sampled_from(("fresh", "fresh", "primary")).map(compares),
)


class Watchdog:
    """Looks at each write of the controller."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.witnesses.append(self.saw)
        world.bereaved.append(self.lost)

    def saw(self, kind: Kind, old: Object, new: Object) -> None:
        """A write that changes an object."""
        if kind == VIRTUAL_SERVICE:
            for rule in new["spec"]["http"]:
                hosts = {each["destination"]["host"]: each["weight"] for each in rule["route"]}
                self.shared(hosts)
        if kind == HTTP_ROUTE:
            for rule in new["spec"]["rules"]:
                self.shared({ref["name"]: ref["weight"] for ref in rule["backendRefs"]})

    def shared(self, weights: dict[str, int]) -> None:
        assert sum(weights.values()) == 100
        assert min(weights.values()) >= 0
        share = weights.get(NAME, 0)
        if NAME in weights:
            canary = weights["catalog-canary"]
            assert share == min(canary, 100 - canary) > 0
            status = self.world.need(DEPLOYMENT, NAME).get("status") or {}
            assert status.get("availableReplicas"), "requests to pods that do not serve"
            assert self.world.phase in {"Progressing", "WaitingPromotion"}

    def lost(self, kind: Kind, obj: Object) -> None:
        """A delete."""
        assert obj["metadata"]["name"] == NAME
        assert kind in {DEPLOYMENT, SERVICE, DESTINATION_RULE}
        split = self.world.split
        assert split is None or not split.baseline, "requests are still sent there"

    def at_rest(self) -> None:
        """What holds whenever the controller has nothing more to do."""
        world = self.world
        if world.phase in SETTLED:
            kinds = (DEPLOYMENT, SERVICE, DESTINATION_RULE)
            assert not [kind.kind for kind in kinds if world.get(kind, NAME) is not None]
            assert world.split is not None
            assert not world.split.baseline


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of looks are taken; nobody reads what they log."""
    with structlog.testing.capture_logs():
        yield


@pytest.mark.parametrize("provider", ["istio", "gatewayapi:v1"])
@settings(max_examples=60)
@given(
    step=st.integers(5, 100),
    most=st.integers(1, 100),
    back=st.sampled_from((0, 0, 30)),
    events=st.lists(befalls, max_size=25),
)
def test_some_things_never_happen(
    provider: str, step: int, most: int, back: int, events: list[Befalls]
) -> None:
    async def play() -> None:
        release = gatewayed() if provider == "gatewayapi:v1" else canary()
        release["spec"]["analysis"] |= copy.deepcopy(AFRESH) | {
            "threshold": 2,
            "stepWeight": step,
            "maxWeight": most,
            "stepWeightPromotion": back,
        }
        world = World(deployment(), release)
        watchdog = Watchdog(world)
        for event in (*events, sticks(), kills(None)):
            event(world)
            await world.settle()
            watchdog.at_rest()
        # Once everything works again, it comes to an end by itself.
        world.custom = Value(0.0)
        await world.until_settled()
        watchdog.at_rest()
        assert world.phase in SETTLED

    asyncio.run(play())
