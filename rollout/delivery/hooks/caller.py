"""Calls hooks: each call in a task of its own, so that a hook that hangs holds up nobody but the canary that asked.

What came of a canary's calls is kept until that canary's decision needs no more of them. Knows HTTP and Secrets; not
what a hook is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from rollout.delivery.hooks.attempts import is_retried, outcome, pause
from rollout.delivery.hooks.call import HookCall, Outcome, Refused
from rollout.http.client import HttpClient, NoReplyError, Request
from rollout.kube.errors import KubeError
from rollout.kube.objects import Key

log = structlog.get_logger(__name__)

_MOST_OF_ONE = 16  # of one canary at the same time

Secrets = Callable[[str, str], Awaitable[Mapping[str, str] | None]]
"""The decoded values of a Secret by namespace and name; None where there is no such Secret."""


class HookCaller:
    """One POST at a time per call, with its retries. Never raises for what a hook does."""

    def __init__(
        self,
        http: HttpClient,
        secrets: Secrets,
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._http, self._secrets, self._sleep = http, secrets, sleep

    async def call(self, call: HookCall) -> Outcome:
        """Make one call, as often as its retries allow, and say what came of it."""
        headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
        if call.secret:
            where = f"{call.path}.headersFrom.secretRef: Secret {call.namespace}/{call.secret}"
            try:
                found = await self._secrets(call.namespace, call.secret)
            except KubeError as error:
                return Refused(f"{where} is not had: {error}")
            if found is None:
                return Refused(f"{where} is not there; create it")
            headers = (*headers, *((name, value.strip()) for name, value in found.items()))
        request = Request(
            method="POST",
            url=call.url,
            headers=headers,
            body=call.body.encode(),
            timeout=call.timeout,
            verify=call.verify,
        )
        for attempt in range(call.retries + 1):
            status, said, asked = await self._once(request)
            if attempt == call.retries or not is_retried(status):
                return outcome(status, _without(said, headers[1:]), attempt + 1)
            await self._sleep(pause(attempt, asked if status in {429, 503} else None))
        raise AssertionError("unreachable")

    async def _once(self, request: Request) -> tuple[int | None, str, float | None]:
        try:
            reply = await self._http.send(request)
        except NoReplyError as error:
            return None, str(error), None
        return reply.status, reply.text, reply.retry_after


class HookDesk:
    """Who has asked what: a canary's calls under way, and the outcomes that it has not used up.

    `again` is told of a canary whose calls are all answered.
    """

    def __init__(
        self, caller: HookCaller, again: Callable[[Key], None], group: asyncio.TaskGroup
    ) -> None:
        self._caller, self._again, self._group = caller, again, group
        self._running: dict[Key, dict[HookCall, asyncio.Task[None]]] = {}
        self._outcomes: dict[Key, dict[HookCall, Outcome]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def outcomes(self, key: Key) -> Mapping[HookCall, Outcome]:
        """What is known of the canary's calls so far."""
        return dict(self._outcomes.get(key, {}))

    def ask(self, key: Key, calls: Sequence[HookCall]) -> None:
        """Have these calls made; those under way go on, others of the canary are given up."""
        wanted = set(calls)
        running = self._running.setdefault(key, {})
        for call in set(running) - wanted:
            running.pop(call).cancel()
        # What finds no place now is asked for again when the others are answered.
        for call in [call for call in calls if call not in running][: _MOST_OF_ONE - len(running)]:
            running[call] = self._group.create_task(self._make(key, call))

    def used(self, key: Key) -> None:
        """The canary's decision needs no call: what was known of them belongs to the past."""
        for task in self._running.pop(key, {}).values():
            task.cancel()
        self._outcomes.pop(key, None)

    def tell(self, calls: Iterable[HookCall]) -> None:
        """Have calls made that nobody waits for; a failure is only logged."""
        for call in calls:
            task = self._group.create_task(self._tell(call))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def idle(self) -> None:
        """Wait until everything that nobody waits for is told."""
        while self._telling:
            await asyncio.wait(self._telling)

    def close(self) -> None:
        """Give up everything that is under way."""
        for running in self._running.values():
            for task in running.values():
                task.cancel()
        for task in self._telling:
            task.cancel()

    async def _make(self, key: Key, call: HookCall) -> None:
        came = await self._call(call)
        self._outcomes.setdefault(key, {})[call] = came
        running = self._running.get(key, {})
        running.pop(call, None)
        if not running:
            self._again(key)

    async def _call(self, call: HookCall) -> Outcome:
        try:
            return await self._caller.call(call)
        except Exception as error:  # one hook must end neither the others nor the process
            log.exception("hook not called", namespace=call.namespace, hook=call.name)
            return Refused(f"it could not be called: {type(error).__name__}")

    async def _tell(self, call: HookCall) -> None:
        came = await self._call(call)
        if isinstance(came, Refused):
            log.warning(
                "event hook failed", namespace=call.namespace, hook=call.name, reason=came.reason
            )


def _without(said: str, secrets: Iterable[tuple[str, str]]) -> str:
    for _, value in secrets:
        if len(value) >= 4:
            said = said.replace(value, "***")
    return said
