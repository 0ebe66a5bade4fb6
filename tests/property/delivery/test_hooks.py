"""Whatever hooks say and whenever they say it, nothing happens that one of them had to agree to and did not."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.api.kinds import DEPLOYMENT, VIRTUAL_SERVICE, Kind
from rollout.delivery.hooks.call import Agreed, HookType, Refused
from rollout.judge.checks import Value
from rollout.kube.objects import Object
from tests.property.delivery.test_invariants import Befalls, befalls, kills, shares, sticks
from tests.unit.delivery.world import SETTLED, World, canary, deployment

TYPES = [each.value for each in HookType if each is not HookType.EVENT]
HOOKS = [{"name": each, "type": each, "url": f"http://tester/{each}"} for each in TYPES]


def says(name: str, *, agrees: bool) -> Befalls:
    return lambda world: world.hooks.update({name: Agreed() if agrees else Refused("no")})


def hangs(*names: str) -> Befalls:
    return lambda world: setattr(world, "hanging", set(names))


hook_befalls = st.one_of(
    st.builds(
        lambda name, agrees: says(name, agrees=agrees), st.sampled_from(TYPES), st.booleans()
    ),
    st.sampled_from((*TYPES, "")).map(hangs),
)


def ends(world: World) -> list[str]:
    """The verdicts of rollouts; a revision that is withdrawn while it waits was not rolled out."""
    phases = [phase for phase, _ in world.columns]
    return [
        phase
        for before, phase in pairwise(phases)
        if phase in SETTLED[1:] and before not in (phase, "Waiting")
    ]


def is_end(alert: str) -> bool:
    """Whether an alert tells of a verdict."""
    words = ("finished", "threshold reached", "deadline exceeded", "invoked", "failed", "is gone")
    return any(word in alert for word in words)


class Guard:
    """Looks at each write of the controller, and asks who agreed."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.witnesses.append(self.saw)

    def saw(self, kind: Kind, old: Object, new: Object) -> None:
        name, phase = new["metadata"]["name"], self.world.phase
        if kind == VIRTUAL_SERVICE and shares(new)[1] > max(shares(old)[1], self.world.weight):
            self.agreed(
                "confirm-traffic-increase", "rollout" if self.world.weight else "pre-rollout"
            )
            assert self.world.said["rollback"] != Agreed()
        if kind != DEPLOYMENT:
            return
        grown = not old["spec"]["replicas"] and new["spec"]["replicas"]
        if name == "catalog" and grown and phase in (*SETTLED, "Waiting"):
            self.agreed("confirm-rollout")
        changed = old["spec"]["template"] != new["spec"]["template"]
        if name == "catalog-primary" and changed and phase != "Initializing":
            self.agreed("confirm-promotion", "confirm-traffic-increase", "rollout")

    def agreed(self, *names: str) -> None:
        refused = [name for name in names if self.world.said.get(name) != Agreed()]
        assert not refused, f"{refused} did not agree"


@settings(max_examples=80)
@given(
    events=st.lists(st.one_of(befalls, hook_befalls, hook_befalls), max_size=30),
    threshold=st.integers(1, 3),
)
def test_nothing_happens_without_the_hooks_that_decide_it(
    events: list[Befalls], threshold: int
) -> None:
    async def play() -> None:
        analysis = {"webhooks": HOOKS, "threshold": threshold, "stepWeight": 20, "maxWeight": 40}
        world = World(deployment(), canary(analysis=analysis))
        world.hooks["rollback"] = Refused("no")
        Guard(world)
        for event in (*events, sticks(), kills(None), hangs()):
            event(world)
            await world.settle()
        world.success_rate = Value(100)
        world.hooks = {"rollback": Refused("no")}
        for _ in range(40):
            pending = world.condition("PostRollout")
            if world.phase in SETTLED and not (pending and pending["status"] == "Unknown"):
                break
            await world.tick()
        assert world.phase in SETTLED
        assert world.served == (100, 0) or world.status["canaryWeight"] == 100
        told = [call for call in world.calls if call.name == "post-rollout"]
        verdicts = [phase for phase, _ in world.columns if phase in SETTLED[1:]]
        assert bool(told) == bool(verdicts), "every verdict is told"
        assert len(ends(world)) == len([each for each in world.alerts if is_end(each)])

    asyncio.run(play())
