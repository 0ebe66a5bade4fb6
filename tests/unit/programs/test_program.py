"""Programs run to their end, or are ended: with their children, with their parent, and when they take too long."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.programs.program import Ended, started

LONG = "import time; time.sleep(600)"


async def run(code: str, *, limit: float = 30, apart: bool = False, most: int = 1 << 16) -> Ended:
    command = (sys.executable, "-c", code)
    async with started(command, os.environ, errors_apart=apart, most_output=most) as program:
        return await program.wait(limit)


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        pytest.param("print('hello')", Ended(0, "hello\n"), id="it ends well"),
        pytest.param("exit(3)", Ended(3, "", "it ended with exit code 3"), id="it fails"),
        pytest.param(
            "import sys; print('no', file=sys.stderr)", Ended(0, "", errors="no\n"), id="it warns"
        ),
        pytest.param("print('a' * 9 + 'b')", Ended(0, "aaaab\n", cut=True), id="it says much"),
    ],
)
async def test_how_it_ended_is_told(code: str, ended: Ended) -> None:
    assert await run(code, apart=True, most=6) == ended


async def test_what_takes_too_long_is_ended() -> None:
    assert (await run(LONG, limit=0.2)).problem == "it ran longer than 0.2s and was ended"


async def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        async with started(("/nowhere/at/all",), os.environ):
            pass


async def test_it_can_be_asked_to_end() -> None:
    code = "import time\ntry:\n print(1, flush=True)\n time.sleep(600)\nexcept KeyboardInterrupt:\n print('partly')"
    async with started((sys.executable, "-c", code), os.environ) as program:
        waiting = asyncio.ensure_future(program.wait(30))
        await asyncio.sleep(0.5)
        program.interrupt()
        assert (await waiting).output == "1\npartly\n"


async def test_leaving_the_block_ends_the_program_and_its_children(tmp_path: Path) -> None:
    child = f"import os, sys; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); {LONG}"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    async with started((sys.executable, "-c", code), os.environ):
        await asyncio.to_thread(until, lambda: pid_in(tmp_path) > 0)
    until(lambda: not alive(pid_in(tmp_path)))


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    child = f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); {LONG}"
    parent = (
        "import asyncio, os, sys\n"
        "from rollout.programs.program import started\n"
        "async def main():\n"
        f"    async with started((sys.executable, '-c', {child!r}), os.environ) as program:\n"
        "        await program.wait(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen((sys.executable, "-c", parent)) as process:
        until(lambda: pid_in(tmp_path) > 0)
        process.send_signal(signal.SIGKILL)
    until(lambda: not alive(pid_in(tmp_path)))


def pid_in(folder: Path) -> int:
    file = folder / "pid"
    return int(file.read_text() or 0) if file.exists() else 0


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)
