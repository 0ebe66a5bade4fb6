"""`kubectl` as a user runs it: a subprocess with an argument list, and a watch whose lines are kept."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PHASE = "custom-columns=PHASE:.status.phase"
"""How a watch shows nothing but phases."""
_REST = 3.0
_LONGEST_REST = 1.0


class KubectlError(RuntimeError):
    """kubectl refused; the text is what it printed."""


@dataclass
class Watch:
    """The lines of a `kubectl get -w`, as they came; read while it runs."""

    lines: list[str] = field(default_factory=list)
    on_line: Callable[[str], None] | None = None

    def take(self, stream: Iterator[str]) -> None:
        for raw in stream:
            line = raw.rstrip()
            self.lines.append(line)
            if self.on_line:
                self.on_line(line)

    @property
    def last(self) -> str:
        """What was shown last; empty before anything was."""
        return self.lines[-1].strip() if self.lines else ""

    def columns(self, *names: str) -> list[tuple[str, ...]]:
        """The values under the named headings, one tuple a line, of the lines that have a value under each heading."""
        header = self.lines[0].split()
        rows = [line.split() for line in self.lines[1:]]
        return [
            tuple(row[header.index(name)] for name in names)
            for row in rows
            if len(row) == len(header)
        ]


@dataclass(frozen=True)
class Kubectl:
    """One binary with one kubeconfig."""

    binary: Path
    kubeconfig: Path

    def run(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        done = subprocess.run(
            [str(self.binary), *args],
            input=stdin,
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, *files: Path) -> str:
        return self.run("apply", *(arg for file in files for arg in ("-f", str(file))))

    def json(self, *args: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run(*args, "-o", "json"))
        return answer

    def wait(self, *args: str, timeout: float = 120) -> None:
        self.run("wait", f"--timeout={timeout:g}s", *args, timeout=timeout + 10)

    @contextmanager
    def watch(
        self, *args: str, on_line: Callable[[str], None] | None = None, there: bool = True
    ) -> Iterator[Watch]:
        """`kubectl get ARGS -w` for as long as the block lasts, which begins once what is `there` has been shown."""
        process = subprocess.Popen(
            [str(self.binary), "get", *args, "-w"],
            env=self._env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout
        watch = Watch(on_line=on_line)
        reader = threading.Thread(target=watch.take, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            if there:
                until(f"a watch of {args[0]}", lambda: len(watch.lines) > 1, timeout=30)
            yield watch
        finally:
            process.terminate()
            process.wait(10)
            reader.join(10)
            process.stdout.close()

    def _env(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}


def until(what: str, check: Callable[[], bool], timeout: float, period: float = 0.1) -> None:
    """Polls `check`; raises TimeoutError naming `what` when it is not true in time.

    A look is mostly a process of its own: it rests for longer than it looks, so as not to take the processor from what it
    waits for.
    """
    deadline = time.monotonic() + timeout
    while True:
        looked = time.monotonic()
        if check():
            return
        now = time.monotonic()
        if now > deadline:
            raise TimeoutError(f"{what}: not seen within {timeout:g} s")
        time.sleep(max(period, min(_REST * (now - looked), _LONGEST_REST)))
