"""Runs programs for hooks: so many at once, and never the same twice. Knows tasks; not who asks for them or why."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from rollout.loadtester.tasks import Task
from rollout.programs.program import Ended, started

log = structlog.get_logger(__name__)

_MOST_AT_ONCE = 64


class BusyError(Exception):
    """So many programs run already that this one must wait."""


class Runner:
    """`limit` is the seconds that a program may run."""

    def __init__(
        self, group: asyncio.TaskGroup, limit: float, environment: Mapping[str, str]
    ) -> None:
        self._group, self._limit = group, limit
        self._environment = environment
        self._running: dict[Task, asyncio.Task[Ended]] = {}

    @property
    def running(self) -> int:
        """How many programs run now."""
        return len(self._running)

    def start(self, task: Task) -> bool:
        """Begin in the background; False where the same task of the same canary runs already. May raise BusyError."""
        if task in self._running:
            log.info("already running", canary=task.canary, program=task.program)
            return False
        self._begin(task)
        return True

    async def run(self, task: Task) -> Ended:
        """Run to the end; who asks for what runs already gets the end of that. May raise BusyError."""
        running = self._running.get(task) or self._begin(task)
        return await asyncio.shield(running)

    def close(self) -> None:
        """End every program."""
        for running in self._running.values():
            running.cancel()

    def _begin(self, task: Task) -> asyncio.Task[Ended]:
        if len(self._running) >= _MOST_AT_ONCE:
            raise BusyError(f"{_MOST_AT_ONCE} programs run already")
        begun = self._group.create_task(self._execute(task))
        self._running[task] = begun
        begun.add_done_callback(lambda _: self._running.pop(task, None))
        return begun

    async def _execute(self, task: Task) -> Ended:
        log.info("started", canary=task.canary, command=list(task.arguments))
        try:
            async with started(task.arguments, self._environment) as program:
                ended = await program.wait(self._limit)
        except OSError as error:
            ended = Ended(-1, "", f"{task.program}: {error.strerror}")
        level = log.warning if ended.problem else log.info
        output = {"output": ended.output} if task.logs or ended.problem else {}
        level("ended", canary=task.canary, program=task.program, problem=ended.problem, **output)
        return ended
