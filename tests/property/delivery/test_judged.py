"""Whatever requests come and however often the process dies: none is counted twice, and no step is taken without any."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.judge.sequential import Tick
from rollout.judge.trials import FAILED, Observation, Source
from tests.unit.delivery.world import World, canary, deployment, initialized

STRETCHES = st.lists(
    st.tuples(
        st.sampled_from(("run", "run", "run", "die", "die at a write")),
        st.integers(1, 25),  # seconds
        st.integers(0, 30),  # canary requests of each
        st.sampled_from((0, 0, 0, 1)),  # bad ones among them
    ),
    min_size=1,
    max_size=8,
)


async def played(stretches: list[tuple[str, int, int, int]]) -> None:
    metrics = [{"name": FAILED, "thresholdRange": {"min": 90}}]
    judge = {"method": "sequential", "tolerance": 0.05}
    world = await initialized(
        deployment(), canary(analysis={"metrics": metrics, "judge": judge, "interval": "10s"})
    )
    world.new_image("catalog:2")
    await world.settle()
    seen = bad_seen = in_step = died = 0
    for what, seconds, requests, bad in stretches:
        if what == "die":
            world.restart()
            died += 1
        elif what == "die at a write":
            world.writes_left = seconds % 3
            died += 1
        for _ in range(seconds):
            world.now += timedelta(seconds=1)
            before = world.weight
            if world.trial is not None:
                tick = Tick.of((min(bad, requests), requests), (0, 90))
                world.looks.append(Observation(world.now, Source.PROXIES, {FAILED: (tick,)}))
                if before:
                    seen, bad_seen = seen + requests, bad_seen + min(bad, requests)
                    in_step += requests
            await world.settle()
            if world.phase == "Failed":
                assert bad_seen, "nothing spoke against it"
                return
            if world.phase != "Progressing":
                return
            if world.weight > before:
                assert not before or in_step, "no request of its own"
                in_step = 0
        counted = _counted(world)
        assert counted <= seen
        if not died:
            assert seen - counted <= 30 * 6, "more is unwritten than a few seconds' worth"


def _counted(world: World) -> int:
    """Canary requests that the status knows of."""
    metrics = (world.status.get("judge") or {}).get("metrics", ())
    return sum(int(json.loads(metric["state"])["requests"][0]) for metric in metrics)


@settings(deadline=None, max_examples=60)
@given(STRETCHES)
def test_requests_are_counted_once_and_steps_have_some(
    stretches: list[tuple[str, int, int, int]],
) -> None:
    with structlog.testing.capture_logs():
        asyncio.run(played(stretches))
