"""The load tester's process: serves until it is told to stop, then ends the programs that it runs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from rollout.kube.serving import listen, serve
from rollout.loadtester.app import load_tester
from rollout.loadtester.gates import Gates
from rollout.loadtester.runner import Runner

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The process' settings, named as those of Flagger's load tester; `allowed` are programs by name."""

    allowed: Mapping[str, str] = field(default_factory=dict)
    port: int = 8080
    timeout: timedelta = timedelta(hours=1)
    namespace_regexp: str = ""


async def run(options: Options, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM, SIGINT or `stop`. Raises OSError where the port is taken, re.error for a bad expression."""
    stop = stop or _stopped_by_signals()
    pattern = re.compile(options.namespace_regexp) if options.namespace_regexp else None
    bound = listen("0.0.0.0", options.port)  # noqa: S104 - a pod's server
    log.info("serving", port=bound.getsockname()[1], allowed=sorted(options.allowed))
    async with asyncio.TaskGroup() as group:
        runner = Runner(group, options.timeout.total_seconds(), os.environ)
        app = load_tester(runner, Gates(), options.allowed, CollectorRegistry(), pattern)
        serving = group.create_task(serve(app, "0.0.0.0", options.port, sock=bound))  # noqa: S104
        await stop.wait()
        runner.close()
        serving.cancel()


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
