"""Runs programs for hooks: in process groups of their own, for so long, with so much output, and never the same twice at once.

Knows processes; not who asks for them or why.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from rollout.loadtester.tasks import Task

log = structlog.get_logger(__name__)

_MOST_OUTPUT = 64 << 10
_GRACE_SECONDS = 5.0
_MOST_AT_ONCE = 64
_PASSED_ON = frozenset(
    {"PATH", "HOME", "TMPDIR", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "NO_PROXY"}
)


class BusyError(Exception):
    """So many programs run already that this one must wait."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code, the last of its output, and what to say of it where it failed."""

    code: int
    output: str
    problem: str = ""


class Runner:
    """`limit` is the seconds that a program may run."""

    def __init__(
        self, group: asyncio.TaskGroup, limit: float, environment: Mapping[str, str]
    ) -> None:
        self._group, self._limit = group, limit
        self._environment = {k: v for k, v in environment.items() if k in _PASSED_ON}
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
            process = await asyncio.create_subprocess_exec(
                *task.arguments,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            ended = Ended(-1, "", f"{task.program}: {error.strerror}")
        else:
            ended = await self._wait(process)
        level = log.warning if ended.problem else log.info
        output = {"output": ended.output} if task.logs or ended.problem else {}
        level("ended", canary=task.canary, program=task.program, problem=ended.problem, **output)
        return ended

    async def _wait(self, process: asyncio.subprocess.Process) -> Ended:
        kept = bytearray()
        problem = ""
        reading = asyncio.ensure_future(_read(process.stdout, kept))
        try:
            async with asyncio.timeout(self._limit):
                await asyncio.shield(reading)
                await process.wait()
        except TimeoutError:
            problem = f"it ran longer than {self._limit:g}s and was ended"
        finally:
            # Also whatever it has started and left behind.
            await _end_group(process)
            reading.cancel()
        code = process.returncode if process.returncode is not None else -1
        if code and not problem:
            problem = f"it ended with exit code {code}"
        return Ended(code, kept.decode(errors="replace"), problem)


async def _read(output: asyncio.StreamReader | None, kept: bytearray) -> None:
    """Keep the last of the output, and read all of it so that the program never waits for that."""
    while output is not None and (chunk := await output.read(1 << 16)):
        kept += chunk
        del kept[:-_MOST_OUTPUT]


async def _end_group(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                await process.wait()
        except TimeoutError:
            continue
    # A program that ended by itself may have left others in its group that ignore SIGTERM.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
