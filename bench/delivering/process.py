"""The controller as a process of its own: started, read from the kernel, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Controller:
    """A running `rollout controller`."""

    pid: int

    def cpu(self) -> float:
        """Seconds of CPU since its start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_mib(self) -> float:
        """Resident memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the controller is gone")


@contextmanager
def controller(kubeconfig: Path, metrics_server: str, log: Path) -> Iterator[Controller]:
    """Started as it is in a cluster: with its webhook, its metrics and a lease."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in (one, other)]
    command = [
        *(sys.executable, "-m", "rollout.cli.main", "controller"),
        *("--kubeconfig", str(kubeconfig), "--metrics-server", metrics_server),
        *("--port", ports[0], "--webhook-port", ports[1], "--log-level", "warn"),
        *("--enable-leader-election", "true", "--system-namespace", "default"),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KUBE")}
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=environment, stderr=said)
    with process:
        try:
            yield Controller(process.pid)
        except TimeoutError as error:
            raise RuntimeError(f"the controller said: {log.read_text()[-2000:]}") from error
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
