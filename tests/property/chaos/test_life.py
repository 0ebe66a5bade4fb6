"""Whatever happens to an experiment, its fault is vouched for only within its time, by who began it, one per service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.api.chaos import PAUSE_ANNOTATION
from rollout.chaos.observe import status_of
from rollout.chaos.plan.faulted import VOUCHED_WITHIN
from rollout.chaos.plan.snapshot import Other
from rollout.chaos.probe import ProbeVerdict
from rollout.kube.objects import Key
from tests.unit.chaos.world import PROBE, World, answers, experiment

CHANGES: dict[str, Callable[[World], object]] = {
    "time": lambda _: None,
    "crash": World.crash,
    "delete": World.delete,
    "halt": lambda w: setattr(w, "halted", True),
    "resume": lambda w: setattr(w, "halted", False),
    "stop": lambda w: w.change(engineState="stop"),
    "start": lambda w: w.change(engineState="active"),
    "edit": lambda w: w.change(duration="7s"),
    "break": lambda w: w.change(duration="never"),
    "pause": lambda w: w.obj["metadata"].update(annotations={PAUSE_ANNOTATION: "true"}),
    "unpause": lambda w: w.obj["metadata"].update(annotations={}),
    "fail": lambda w: setattr(w, "answer", answers(ProbeVerdict.FAILED)),
    "silent": lambda w: setattr(w, "answer", answers(ProbeVerdict.ERROR)),
    "pass": lambda w: setattr(w, "answer", answers(ProbeVerdict.PASSED)),
    "unreachable": lambda w: setattr(w, "reachable", False),
    "reachable": lambda w: setattr(w, "reachable", True),
    "no service": lambda w: setattr(w, "services", frozenset()),
    "service": lambda w: setattr(w, "services", frozenset({"checkout"})),
}
HAPPENINGS = st.sampled_from(["time"] * 8 + sorted(CHANGES))


@given(
    happenings=st.lists(st.tuples(HAPPENINGS, st.sampled_from([0.1, 0.5, 1.0, 3.0])), max_size=60)
)
@settings(max_examples=200, deadline=None)
def test_a_fault_never_outlives_its_time_nor_who_began_it(
    happenings: list[tuple[str, float]],
) -> None:
    world = World(obj=experiment(steadyState={"probes": [PROBE]}))
    last_renewal = None
    for what, seconds in happenings:
        CHANGES[what](world)
        if world.vouching and world.reachable:
            last_renewal = world.now
        decision = world.look()
        if decision.vouches:
            status = decision.status
            assert status.phase.is_faulted
            assert status.expires_at is not None
            assert world.now < status.expires_at
            assert world.run is not None
            assert world.obj["metadata"]["finalizers"]
            assert not world.halted
            assert world.obj["metadata"].get("annotations", {}).get(PAUSE_ANNOTATION) != "true"
            if last_renewal is not None and world.phases[-1] == "Running":
                silent = world.now - max(last_renewal, status.injected_at or last_renewal)
                assert silent <= VOUCHED_WITHIN + timedelta(seconds=3)
        world.now += timedelta(seconds=seconds)


@given(
    happenings=st.lists(st.tuples(HAPPENINGS, st.sampled_from([0.1, 0.5, 1.0, 3.0])), max_size=30)
)
@settings(max_examples=100, deadline=None)
def test_left_alone_every_run_ends(happenings: list[tuple[str, float]]) -> None:
    world = World(obj=experiment(steadyState={"probes": [PROBE]}))
    for what, seconds in happenings:
        CHANGES[what](world)
        world.look()
        world.now += timedelta(seconds=seconds)
    deleted = "deletionTimestamp" in world.obj["metadata"]
    for _ in range(240):
        world.look()
        world.now += timedelta(seconds=0.5)
    assert not world.vouching
    if deleted:
        assert not world.obj["metadata"].get("finalizers"), "it is gone, whatever its status says"
    else:
        assert not world.status.phase.is_active or world.halted


def seen_by(world: World) -> tuple[Other, ...]:
    status = status_of(world.obj)
    if not status.phase.is_active:
        return ()
    name = world.obj["metadata"]["name"]
    other = Other(
        key=Key("shop", name),
        namespace="shop",
        service="checkout",
        max_concurrent=1,
        started_at=status.started_at,
        faulted=status.phase.is_faulted,
    )
    return (other,)


@given(looks=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
@settings(max_examples=150, deadline=None)
def test_never_two_on_one_service(looks: list[tuple[bool, bool]]) -> None:
    """Two processes, each of which may see what the other did one look late, as watches do."""
    first, second = World(obj=experiment("a")), World(obj=experiment("b"))
    for which, late in looks:
        mine, theirs = (first, second) if which else (second, first)
        if not late or mine.status.phase.is_active:
            mine.others = seen_by(theirs)
        mine.now = theirs.now = max(mine.now, theirs.now) + timedelta(seconds=0.2)
        mine.look()
        assert not (first.vouching and second.vouching)
