"""Load by a real Fortio, bounded in rate and time, against an address of the project's own cluster."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Load:
    """What Fortio counted; empty until the run has ended."""

    result: dict[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> dict[str, int]:
        """Requests by HTTP status; Fortio counts a failed connection as -1."""
        return dict(self.result.get("RetCodes", {}))

    @property
    def requests(self) -> int:
        return sum(self.codes.values())

    @property
    def lost(self) -> int:
        """Requests that got no answer of the application's: socket errors, and 502 to 504 of a proxy."""
        return sum(
            count for code, count in self.codes.items() if code in {"-1", "502", "503", "504"}
        )

    @property
    def failed(self) -> int:
        """All that was not a success, by whomever."""
        return sum(count for code, count in self.codes.items() if not code.startswith("2"))


@contextmanager
def steady_load(
    fortio: Path, url: str, *, host: str, qps: float, limit_seconds: int, connections: int = 8
) -> Iterator[Load]:
    """A steady load while the block lasts, at most `limit_seconds`; counts are there afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "fortio.json"
        process = subprocess.Popen(
            [
                str(fortio), "load", "-quiet", "-allow-initial-errors", "-uniform", "-nocatchup",
                "-qps", f"{qps:g}", "-c", str(connections), "-t", f"{limit_seconds}s",
                "-timeout", "5s", "-H", f"Host: {host}", "-json", str(report), url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        outcome = Load()
        try:
            yield outcome
        finally:
            process.send_signal(signal.SIGINT)
            try:
                _, errors = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                _, errors = process.communicate()
            if report.exists():
                outcome.result.update(json.loads(report.read_text()))
        if not outcome.result:
            raise RuntimeError(f"fortio wrote no result: {errors.strip()[-500:]}")
