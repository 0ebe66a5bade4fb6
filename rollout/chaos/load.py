"""Load by a real Fortio beside this process: bounded in rate, time and output, and gone when its block is.

Its arguments are a list, its result is JSON on standard output, so it needs neither a shell nor a file system to write
to. Knows Fortio's command line; not experiments.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Self
from urllib.parse import urlsplit

from rollout.api.chaos import FortioLoad
from rollout.chaos.loadresult import PERCENTILES, LoadResult, UnreadableResultError
from rollout.programs.program import Ended, Program, started

PROGRAM = "fortio"
_LARGEST_RESULT = 1 << 20
_SPARE_SECONDS = 10.0
_LONGEST_REASON = 300


class LoadFailed(Exception):  # noqa: N818 - it says what happened
    """There is no result; `str()` says why, in Fortio's words where it had some."""


class FortioRun:
    """`async with FortioRun(load, url, seconds) as run: (await run.result()).sentence()`.

    It sends to `url` for `load.duration`, or `seconds` where that is unset. Entering raises LoadFailed where Fortio
    cannot be started; leaving ends it, whatever it does.
    """

    def __init__(
        self,
        load: FortioLoad,
        url: str,
        seconds: float,
        *,
        program: str = PROGRAM,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._seconds = load.duration.total_seconds() if load.duration else seconds
        self._limit = self._seconds + load.timeout.total_seconds() + _SPARE_SECONDS
        self._command = arguments(load, url, self._seconds, program)
        self._environment = environment
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        starting = started(
            self._command, self._environment, errors_apart=True, most_output=_LARGEST_RESULT
        )
        try:
            self._program: Program = await self._open.enter_async_context(starting)
        except OSError as error:
            raise LoadFailed(
                f"{self._command[0]} cannot be started: {error.strerror}; install Fortio on the PATH"
            ) from error
        self._ended = asyncio.ensure_future(self._program.wait(self._limit))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.cancel()
        await asyncio.wait({self._ended})
        await self._open.aclose()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ended.done()

    def stop(self) -> None:
        """Send nothing more; `result` then tells of what was sent."""
        self._program.interrupt()

    async def result(self) -> LoadResult:
        """The figures, as soon as it has ended. Raises LoadFailed where it died or wrote something else."""
        return read(await asyncio.shield(self._ended))


def arguments(
    load: FortioLoad, url: str, seconds: float, program: str = PROGRAM
) -> tuple[str, ...]:
    """The command of this load."""
    return (
        *(program, "load", "-json", "-", "-loglevel", "Error", "-log-errors=false"),
        *("-qps", f"{load.qps:g}", "-c", str(load.connections), "-t", f"{seconds:g}s"),
        *("-p", ",".join(f"{each:g}" for each in PERCENTILES)),
        *("-timeout", f"{load.timeout.total_seconds():g}s", "-r", "0.001"),
        # What is broken from the first request on must be measured, not refused.
        *(() if load.grpc else ("-allow-initial-errors",)),
        # What a slow service kept waiting is not sent in one go as soon as it is quick again.
        "-nocatchup",
        *(("-uniform",) if load.uniform else ()),
        *(("-payload", load.payload) if load.payload is not None else ()),
        *(part for name, value in load.headers.items() for part in ("-H", f"{name}: {value}")),
        *(("-grpc", "-ping", _grpc_target(url)) if load.grpc else (url,)),
    )


def read(ended: Ended) -> LoadResult:
    """The result of a run that ended. Raises LoadFailed."""
    if ended.problem:
        raise LoadFailed(f"Fortio gave no result: {ended.problem}{_said(ended.errors)}")
    if ended.cut:
        raise LoadFailed(f"Fortio's result is larger than {_LARGEST_RESULT} bytes")
    try:
        return LoadResult.parse(ended.output)
    except UnreadableResultError as error:
        raise LoadFailed(f"{error}{_said(ended.errors)}") from error


def _grpc_target(url: str) -> str:
    """Fortio wants host:port of a gRPC server, and a scheme only where there is TLS."""
    address = urlsplit(url)
    return url if address.scheme == "https" else address.netloc


def _said(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f": {lines[-1][:_LONGEST_REASON]}" if lines else ""
