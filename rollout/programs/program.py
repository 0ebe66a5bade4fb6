"""One program that runs: in a process group of its own, for so long, with so much of its output kept, never by a shell.

It ends when its block does, and with this process where `setpriv` is there to see to that. Knows processes; not who
asks for them or why.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

MOST_OUTPUT = 64 << 10
"""Bytes of output that are kept, the last ones, unless a caller keeps another number."""
_MOST_ERRORS = 8 << 10
_GRACE_SECONDS = 5.0
_PASSED_ON = frozenset(
    {"PATH", "HOME", "TMPDIR", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "NO_PROXY"}
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code, the last of its output, and what to say of it where it failed.

    `errors` is the last of its standard error where that was kept apart; `cut` is whether output was dropped.
    """

    code: int
    output: str
    problem: str = ""
    errors: str = ""
    cut: bool = False


class Program:
    """A program that was started."""

    def __init__(self, process: asyncio.subprocess.Process, most_output: int) -> None:
        self._process = process
        self._output, self._errors = _Tail(most_output), _Tail(_MOST_ERRORS)
        self._reading = asyncio.gather(
            self._output.read(process.stdout), self._errors.read(process.stderr)
        )

    def interrupt(self) -> None:
        """Ask it to come to its end, as Ctrl-C does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    async def wait(self, limit: float) -> Ended:
        """Until it has ended by itself; a program that runs `limit` seconds longer is ended."""
        problem = ""
        try:
            async with asyncio.timeout(limit):
                await asyncio.shield(self._reading)
                await self._process.wait()
        except TimeoutError:
            problem = f"it ran longer than {limit:g}s and was ended"
        finally:
            await self.end()
        code = self._process.returncode if self._process.returncode is not None else -1
        if code and not problem:
            problem = _how(code)
        return Ended(code, self._output.text, problem, self._errors.text, self._output.cut)

    async def end(self) -> None:
        """End it, with whatever it has started and left behind; nothing where that has happened."""
        await _end_group(self._process)
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading


@asynccontextmanager
async def started(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    errors_apart: bool = False,
    most_output: int = MOST_OUTPUT,
) -> AsyncIterator[Program]:
    """The program, for as long as the block lasts at most. Raises OSError where it cannot be started.

    It is given only what every program needs of `environment`, nothing on standard input, and standard error is part of
    its output unless `errors_apart`.
    """
    passed = {name: value for name, value in environment.items() if name in _PASSED_ON}
    process = await asyncio.create_subprocess_exec(
        *_tied(arguments, passed),
        env=passed,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if errors_apart else asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    program = Program(process, most_output)
    try:
        yield program
    finally:
        await program.end()


def _tied(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The same command, ended by the kernel as soon as this process is gone, however that went."""
    search = environment.get("PATH")
    found = shutil.which(arguments[0], path=search)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])
    command = [found, *arguments[1:]]
    setpriv = shutil.which("setpriv", path=search)
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


def _how(code: int) -> str:
    if code < 0 and -code in {each.value for each in signal.Signals}:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


class _Tail:
    """The last of a stream; all of it is read, so that the program never waits for that."""

    def __init__(self, most: int) -> None:
        self._most, self._kept, self.cut = most, bytearray(), False

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")

    async def read(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (chunk := await stream.read(1 << 16)):
            self._kept += chunk
            if len(self._kept) > self._most:
                self.cut = True
                del self._kept[: -self._most]


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
