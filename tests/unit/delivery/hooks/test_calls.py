"""What hooks are sent and how often, against a real server; and that one that hangs holds up nobody else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from rollout.api.canary import Canary
from rollout.delivery.hooks.attempts import pause
from rollout.delivery.hooks.call import Agreed, HookCall, HookType, Outcome, Refused
from rollout.delivery.hooks.caller import HookCaller, HookDesk
from rollout.delivery.hooks.events import EventHooks
from rollout.delivery.hooks.payload import calls_of, checksum
from rollout.http.client import HttpClient
from rollout.kube.objects import Key
from tests.unit.delivery.world import canary
from tests.unit.http.server import Answered, reply, server

SECRET = {"Authorization": "Bearer s3cret-token\n"}


def calls(*hooks: dict[str, Any], type_: HookType = HookType.ROLLOUT) -> tuple[HookCall, ...]:
    parsed = Canary.parse(canary(analysis={"webhooks": list(hooks)}))
    return calls_of(parsed, type_, "Progressing", checksum("v1-1", {"secret/a": "1"}))


async def make(call: HookCall, pauses: list[float] | None = None) -> Outcome:
    async def secrets(namespace: str, name: str) -> dict[str, str] | None:
        return SECRET if (namespace, name) == ("shop", "creds") else None

    async def sleep(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    async with HttpClient() as http:
        return await HookCaller(http, secrets, sleep=sleep).call(call)


async def test_flaggers_payload() -> None:
    with server(lambda _: reply()) as running:
        hook = {"name": "load", "url": f"{running.address}/x", "metadata": {"cmd": "fortio"}}
        assert await make(calls(hook)[0]) == Agreed()
    (seen,) = running.seen
    assert (seen.method, seen.path) == ("POST", "/x")
    assert seen.headers["content-type"] == "application/json"
    assert seen.json == {
        "name": "catalog-release",
        "namespace": "shop",
        "phase": "Progressing",
        "checksum": checksum("v1-1", {"secret/a": "1"}),
        "metadata": {"cmd": "fortio"},
    }


def test_the_checksum_is_of_the_revision_and_its_configs() -> None:
    same = {checksum("a", {"x": "1", "y": "2"}), checksum("a", {"y": "2", "x": "1"})}
    assert len(same) == 1
    assert len(same | {checksum("b", {"x": "1", "y": "2"}), checksum("a", {"x": "2"})}) == 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Agreed()),
        (201, Agreed()),
        (202, Agreed()),
        (204, Refused("the answer is 204")),
        (301, Refused("said so")),
        (403, Refused("said so")),
        (501, Refused("said so")),
        (500, Refused("giving up after 1 attempt(s): 500 said so")),
        (429, Refused("giving up after 1 attempt(s): 429 said so")),
    ],
)
async def test_what_an_answer_means(status: int, expected: Outcome) -> None:
    said = b"" if status == 204 else b" said\n so "
    with server(lambda _: Answered(status, said)) as running:
        assert await make(calls({"name": "x", "url": running.address})[0]) == expected


async def test_retries_wait_longer_each_time() -> None:
    answers = iter([503, 429, 500, 200])
    with server(lambda _: reply(status=next(answers))) as running:
        pauses: list[float] = []
        hook = {"name": "x", "url": running.address, "retries": 5}
        assert await make(calls(hook)[0], pauses) == Agreed()
    assert pauses == [1, 2, 4]
    busy = Answered(503, b"", {"Retry-After": "7"})
    with server(lambda _: busy) as running:
        pauses.clear()
        await make(calls({"name": "x", "url": running.address, "retries": 1})[0], pauses)
    assert pauses == [7]
    assert [pause(attempt) for attempt in (4, 5, 60)] == [16, 30, 30]


async def test_a_refusal_is_not_retried_and_a_failure_says_how_often() -> None:
    with server(lambda _: reply("no", 403)) as running:
        await make(calls({"name": "x", "url": running.address, "retries": 3})[0])
    assert len(running.seen) == 1
    pauses: list[float] = []
    hook = {"name": "x", "url": "http://127.0.0.1:1/", "retries": 2}
    got = await make(calls(hook)[0], pauses)
    assert isinstance(got, Refused)
    assert got.reason.startswith("giving up after 3 attempt(s): ")
    assert len(pauses) == 2


async def test_the_time_is_that_of_one_attempt() -> None:
    answers = iter([reply(slow=9), reply()])
    with server(lambda _: next(answers)) as running:
        hook = {"name": "x", "url": running.address, "retries": 1, "timeout": "3s"}
        began = time.monotonic()
        assert await make(calls(hook)[0], []) == Agreed()
        assert time.monotonic() - began < 9


async def test_headers_from_a_secret() -> None:
    with server(lambda seen: reply(seen.headers["authorization"], 403)) as running:
        hook = {
            "name": "x",
            "url": running.address,
            "headersFrom": {"secretRef": {"name": "creds"}},
        }
        got = await make(calls(hook)[0])
        assert running.seen[0].headers["authorization"] == "Bearer s3cret-token"
        assert got == Refused("***"), "what it answers is shown, the secret is not"
        hook["headersFrom"] = {"secretRef": {"name": "absent"}}
        got = await make(calls(hook)[0])
        assert len(running.seen) == 1
    assert got == Refused(
        "spec.analysis.webhooks[0].headersFrom.secretRef: Secret shop/absent is not there; create it"
    )


class Fake:
    """A caller whose calls end when the test says so."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.ended: list[str] = []

    async def call(self, call: HookCall) -> Outcome:
        await self.gates.setdefault(call.name, asyncio.Event()).wait()
        self.ended.append(call.name)
        return Agreed()


async def test_one_canarys_hanging_hook_is_no_others_business() -> None:
    fake = Fake()
    told: asyncio.Queue[Key] = asyncio.Queue()
    one, other = Key("shop", "one"), Key("shop", "other")
    a, b = calls({"name": "a", "url": "http://x"}, {"name": "b", "url": "http://x"})
    async with asyncio.TaskGroup() as group:
        desk = HookDesk(fake, told.put_nowait, group)  # type: ignore[arg-type]
        desk.ask(one, (a,))
        desk.ask(other, (b,))
        desk.ask(one, (a,))  # another look at the same canary
        await asyncio.sleep(0)
        fake.gates["b"].set()
        assert await told.get() == other
        assert fake.ended == ["b"]
        assert desk.outcomes(other) == {b: Agreed()}
        desk.used(other)
        assert desk.outcomes(other) == {}
        desk.ask(one, (b,))  # another revision: the old call is given up
        assert await told.get() == one
        assert desk.outcomes(one) == {b: Agreed()}
        desk.close()
    assert fake.ended == ["b", "b"]


async def test_one_canary_takes_only_so_many_places() -> None:
    fake = Fake()
    many = calls(*({"name": f"hook-{index}", "url": "http://x"} for index in range(20)))
    key = Key("shop", "one")
    told: asyncio.Queue[Key] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        desk = HookDesk(fake, told.put_nowait, group)  # type: ignore[arg-type]
        desk.ask(key, many)
        desk.ask(key, many)
        await asyncio.sleep(0)
        assert len(fake.gates) == 16
        for gate in list(fake.gates.values()):
            gate.set()
        await told.get()
        desk.ask(key, [call for call in many if call not in desk.outcomes(key)])
        await asyncio.sleep(0)
        assert len(fake.gates) == 20
        desk.close()


async def test_what_nobody_foresaw_is_a_refusal() -> None:
    class Broken:
        async def call(self, _: HookCall) -> Outcome:
            raise RuntimeError("secret details")

    key = Key("shop", "one")
    (call,) = calls({"name": "x", "url": "http://x"})
    told: asyncio.Queue[Key] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        desk = HookDesk(Broken(), told.put_nowait, group)  # type: ignore[arg-type]
        desk.ask(key, (call,))
        await told.get()
        assert desk.outcomes(key) == {call: Refused("it could not be called: RuntimeError")}


def _told(everywhere: str, *hooks: dict[str, Any]) -> list[HookCall]:
    recorded: list[str] = []
    sent: list[HookCall] = []

    class Recorder:
        def emit(self, obj: Any, type: str, reason: str, message: str) -> None:  # noqa: A002
            recorded.append(message)

    def tell(made: Iterable[HookCall]) -> None:
        sent.extend(made)

    at = datetime(2026, 11, 21, 12, 0, 0, 500_000, tzinfo=UTC)
    events = EventHooks(Recorder(), tell, lambda: at, everywhere=everywhere)
    obj = canary(analysis={"webhooks": list(hooks)})
    obj["status"] = {"phase": "Failed", "lastAppliedSpec": "v1-1"}
    events.emit(obj, "Warning", "Synced", "Canary failed!")
    assert recorded == ["Canary failed!"]
    return sent


def test_events_are_told_to_the_canarys_hooks() -> None:
    own = {
        "name": "bus",
        "type": "event",
        "url": "http://bus",
        "metadata": {"environment": "test", "eventType": "mine"},
    }
    (call,) = _told("http://everywhere", own)
    assert json.loads(call.body) == {
        "name": "catalog-release",
        "namespace": "shop",
        "phase": "Failed",
        "checksum": checksum("v1-1", {}),
        "metadata": {
            "environment": "test",
            "eventMessage": "Canary failed!",
            "eventType": "Warning",
            "timestamp": "1795262400500",
        },
    }


def test_events_of_canaries_without_event_hooks_are_told_to_the_controllers() -> None:
    (call,) = _told("http://everywhere", {"name": "load", "url": "http://load"})
    assert (call.name, call.url) == ("events", "http://everywhere")
    assert _told("") == []
