"""The desk: looks each second, keeps what was not written down, and ends with the canary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from rollout.delivery.judging.desk import JudgeDesk
from rollout.delivery.reconcile import utc_now
from rollout.judge.evidence.live import NoEvidence
from rollout.judge.sequential import Evidence, Tick
from rollout.judge.trials import FAILED, Source, Trial
from rollout.kube.objects import Key
from tests.waiting import until

KEY = Key("shop", "catalog")
TRIAL = Trial(
    namespace="shop",
    label="app",
    canary="catalog",
    reference="catalog-primary",
    workloads=("catalog", "catalog-primary"),
    address="http://prometheus:9090",
)


class Looking:
    """Looks that bring a tick each, or fail as told."""

    def __init__(self) -> None:
        self.source = Source.PROXIES
        self.trouble: Exception | None = None
        self.looks = 0

    async def look(self, now: datetime) -> Mapping[str, tuple[Evidence, ...]]:
        self.looks += 1
        if self.trouble is not None:
            raise self.trouble
        return {FAILED: (Tick.of((0, 1), (0, 9)),)}


class Told:
    """The desk, what it watches, and whom it told."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.looking = Looking()
        self.begun: list[datetime] = []
        self.times = 0
        self.desk = JudgeDesk(self._watch, self._again, group, utc_now, period=0.005)

    def _watch(self, trial: Trial, after: datetime) -> Looking:
        self.begun.append(after)
        return self.looking

    def _again(self, key: Key) -> None:
        assert key == KEY
        self.times += 1

    async def seen(self, count: int) -> None:
        await until(lambda: len(self.desk.observed(KEY).looks) >= count)

    async def trouble(self, words: str) -> None:
        await until(lambda: words in self.desk.observed(KEY).trouble)


@asynccontextmanager
async def desk() -> AsyncIterator[Told]:
    async with asyncio.TaskGroup() as group:
        told = Told(group)
        yield told
        told.desk.close()


async def test_looks_are_kept_until_they_are_written_down() -> None:
    async with desk() as told:
        told.desk.follow(KEY, TRIAL, None)
        await told.seen(3)
        first, second, *_ = told.desk.observed(KEY).looks
        assert first.at < second.at
        told.desk.follow(KEY, TRIAL, second.at)
        left = told.desk.observed(KEY).looks
        assert all(look.at > second.at for look in left)
        assert len(told.begun) == 1, "the same trial goes on"
        assert told.times >= 3


async def test_no_more_than_so_many_are_kept() -> None:
    async with desk() as told:
        told.desk.follow(KEY, TRIAL, None)
        await until(lambda: told.looking.looks >= 140)
        assert len(told.desk.observed(KEY).looks) == 120


async def test_trouble_is_told_once_and_passes() -> None:
    async with desk() as told:
        told.looking.trouble = NoEvidence("no proxy answers")
        told.desk.follow(KEY, TRIAL, None)
        await told.trouble("no proxy answers")
        before = told.times
        looks = told.looking.looks
        await until(lambda: told.looking.looks >= looks + 3)
        assert told.times == before
        told.looking.trouble = ValueError("secret")
        await told.trouble("it could not be read: ValueError")
        told.looking.trouble = None
        await told.seen(1)
        assert told.desk.observed(KEY).trouble == ""


async def test_another_trial_begins_anew_and_none_ends() -> None:
    async with desk() as told:
        told.desk.follow(KEY, TRIAL, None)
        await told.seen(1)
        other = Trial(
            **{name: getattr(TRIAL, name) for name in TRIAL.__slots__} | {"edges": (5.0,)}
        )
        told.desk.follow(KEY, other, None)
        assert told.desk.observed(KEY).looks == ()
        await told.seen(1)
        assert len(told.begun) == 2
        told.desk.follow(KEY, None, None)
        assert told.desk.observed(KEY).looks == ()
        looks = told.looking.looks
        await asyncio.sleep(0.05)
        assert told.looking.looks <= looks + 1


async def test_what_another_process_counted_is_not_counted_again() -> None:
    async with desk() as told:
        ahead = utc_now().replace(year=2099)
        told.desk.follow(KEY, TRIAL, ahead)
        await told.seen(2)
        assert all(look.at > ahead for look in told.desk.observed(KEY).looks)
        assert told.begun == [ahead]
