"""The lease that vouches for faults: named while they last, at once no more, never again after a gap."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.api.chaos import ACTIVE_ANNOTATION
from rollout.chaos.vouching import Voucher
from rollout.kube.errors import NotFound, Unavailable
from rollout.kube.fence import Everywhere
from rollout.kube.objects import Key, Object

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SLOW = Key("shop", "slow")


class Leases:
    """An API server that keeps leases, and may be away."""

    def __init__(self) -> None:
        self.kept: dict[str, Object] = {}
        self.away = False

    async def patch(self, _kind: Any, _namespace: str, name: str, body: Object) -> Object:
        self._answer()
        if name not in self.kept:
            raise NotFound(name, status=404)
        self.kept[name] = body
        return body

    async def create(self, _kind: Any, obj: Object) -> Object:
        self._answer()
        self.kept[obj["metadata"]["name"]] = obj
        return obj

    async def delete(self, _kind: Any, _namespace: str, name: str) -> Object:
        self._answer()
        return self.kept.pop(name)

    async def list(self, _kind: Any, _namespace: str, label_selector: str) -> list[Object]:
        assert label_selector == "chaos.rollout.dev/lease=true"
        return list(self.kept.values())

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("away")


class Only(Everywhere):
    """A territory that may be lost."""

    ours = True

    def holds(self, namespace: str) -> bool:
        return self.ours


class Desk:
    """A voucher and its surroundings; `tick` is one turn of its loop."""

    def __init__(self) -> None:
        self.now, self.server, self.territory = NOW, Leases(), Only()
        self.voucher = Voucher(
            self.server,  # type: ignore[arg-type]
            "system",
            "pod-1_Ab.12",
            self.territory,
            lambda: self.now,
        )

    async def tick(self, seconds: float = 1.0) -> None:
        self.now += timedelta(seconds=seconds)
        await self.voucher._renew()

    @property
    def named(self) -> list[str] | None:
        lease = self.server.kept.get(self.voucher.key.name)
        if lease is None:
            return None
        found: list[str] = json.loads(lease["metadata"]["annotations"][ACTIVE_ANNOTATION])
        return found


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.voucher.vouch(SLOW, "shop/slow/1", NOW + timedelta(seconds=30))
    return made


async def test_it_is_there_only_while_something_is_vouched_for(desk: Desk) -> None:
    assert desk.voucher.key == Key("system", "rollout-chaos-pod-1-ab-12")
    await desk.tick()
    assert desk.named == ["shop/slow/1"]
    lease = desk.server.kept[desk.voucher.key.name]
    assert lease["spec"]["renewTime"] == "2026-03-02T09:00:01.000000Z"
    assert lease["metadata"]["labels"] == {"chaos.rollout.dev/lease": "true"}
    desk.voucher.drop(SLOW)
    await desk.tick()
    assert desk.named is None


async def test_two_runs_are_named_in_order_and_dropped_one_by_one(desk: Desk) -> None:
    other = Key("shop", "abort")
    desk.voucher.vouch(other, "shop/abort/7", NOW + timedelta(seconds=30))
    await desk.tick()
    assert desk.named == ["shop/abort/7", "shop/slow/1"]
    desk.voucher.drop(SLOW)
    await desk.tick()
    assert desk.named == ["shop/abort/7"]


async def test_nothing_is_named_past_its_end_whoever_forgot_it(desk: Desk) -> None:
    await desk.tick(29)
    assert desk.named is None, "29 s without a renewal are a gap"
    desk.voucher.drop(SLOW)
    desk.voucher.vouch(SLOW, "shop/slow/1", desk.now + timedelta(seconds=2))
    await desk.tick()
    assert desk.named == ["shop/slow/1"]
    await desk.tick()
    assert desk.named is None


async def test_after_a_gap_it_is_never_named_again(desk: Desk) -> None:
    await desk.tick()
    desk.server.away = True
    for _ in range(5):
        await desk.tick()
    desk.server.away = False
    await desk.tick()
    assert desk.named is None
    assert desk.voucher.renewed(SLOW) == NOW + timedelta(seconds=1)


async def test_a_short_gap_is_borne(desk: Desk) -> None:
    await desk.tick()
    desk.server.away = True
    await desk.tick()
    desk.server.away = False
    await desk.tick()
    assert desk.named == ["shop/slow/1"]
    assert desk.voucher.renewed(SLOW) == desk.now


async def test_what_is_anothers_is_not_named(desk: Desk) -> None:
    await desk.tick()
    desk.territory.ours = False
    await desk.tick()
    assert desk.named is None


async def test_what_killed_processes_left_is_tidied_up(desk: Desk) -> None:
    def left(name: str, age: float) -> None:
        renewed = (NOW - timedelta(seconds=age)).isoformat()
        desk.server.kept[name] = {"metadata": {"name": name}, "spec": {"renewTime": renewed}}

    left("old", 3600)
    left("fresh", 2)
    await desk.tick()
    assert set(desk.server.kept) == {"fresh", desk.voucher.key.name}
