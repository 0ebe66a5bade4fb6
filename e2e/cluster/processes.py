"""Long-running processes: started with a log, recorded so that a reused process id is never mistaken.

It must not know what it runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KILL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this boot: its id alone could later belong to somebody else."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, birth(pid) or "")

    def alive(self) -> bool:
        return bool(self.born) and birth(self.pid) == self.born

    def signal(self, number: signal.Signals) -> None:
        """Sends it if the process is still the one that was recorded."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> bool:
        """Ends it; false if the kernel has not let go of it after half a minute."""
        self.signal(signal.SIGKILL)
        return self._gone(KILL_SECONDS)

    def _gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def birth(pid: int) -> str | None:
    """Boot and start time of a running process; None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat[stat.rindex(")") + 2 :].split()
    if state == "Z":
        return None
    return f"{boot()}:{fields[18]}"


def boot() -> str:
    """What changes with every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def spawn(command: Sequence[str], log: Path) -> Process:
    """Starts a process that outlives this one, with its output appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    # Whether it lives is read from /proc, as it is for the processes of an earlier run.
    child.returncode = 0
    return Process.of(child.pid)
