"""A real Fortio: the books' slow and failing backends, and their loads."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.build import build
from tests.waiting import until

_OFF = ("-grpc-port", "-tcp-port", "-udp-port", "-redirect-port")


@dataclass(frozen=True, slots=True)
class Result:
    """What Fortio counted: answers by status (-1: none), and latencies in seconds."""

    codes: dict[str, int]
    histogram: dict[str, Any]

    @property
    def total(self) -> int:
        return sum(self.codes.values())

    @property
    def good(self) -> int:
        return self.codes.get("200", 0)

    @property
    def bad(self) -> int:
        return self.total - self.good

    @property
    def slowest(self) -> float:
        return float(self.histogram["Max"])

    def percentile(self, which: float) -> float:
        found = {each["Percentile"]: each["Value"] for each in self.histogram["Percentiles"]}
        return float(found[which])


@asynccontextmanager
async def server(port: int, parameters: str) -> AsyncIterator[None]:
    """A backend on all addresses; `parameters` is a query such as `delay=150ms&status=503:75`."""
    off = [word for flag in _OFF for word in (flag, "disabled")]
    process = await asyncio.create_subprocess_exec(
        str(build("fortio")), "server", "-quiet", "-http-port", str(port),
        "-echo-server-default-params", parameters, *off,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    async def listens() -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await until(listens, "Fortio listens")
        yield
    finally:
        process.terminate()
        await process.wait()


async def load(url: str, host: str, *arguments: str) -> Result:
    """A load with the book's arguments (`-c 2 -qps 2 -t 30s`)."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "fortio.json"
        process = await asyncio.create_subprocess_exec(
            str(build("fortio")), "load", "-quiet", "-allow-initial-errors", "-timeout", "10s",
            "-p", "50,75,90,99", "-H", f"Host: {host}", "-json", str(report), *arguments, url,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()[-1000:]
        found = json.loads(report.read_text())
    return Result(found["RetCodes"], found["DurationHistogram"])
