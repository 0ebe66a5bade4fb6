"""Envoy's life under the agent: started, watched, drained, ended.

Must not know what Envoy serves. The agent is the container's first process: when Envoy ends, so does the
container, with Envoy's exit code, and the kubelet starts both again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from rollout.mesh.agent.bootstrap import ACTIVE, MOVED, TRAFFIC
from rollout.mesh.agent.plainhttp import HttpError, ask
from rollout.mesh.agent.settings import ADMIN_PORT, ROUTER, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.mesh.agent.readiness import Readiness

# New connections still arrive at a gateway until every node has taken it off its Service.
ROUTER_MINIMUM_SECONDS = 3.0
# Callers learn within this that a pod leaves; who is cut off before was told nothing, and may not ask elsewhere.
QUIET_SECONDS = 1.0
KILL_SECONDS = 5.0
DRAIN_POLL_SECONDS = 0.1

_OWN = ("http.admin.", "http.agent.", "http.prometheus_stats.")
_ENDED = b"\0"
_STOP = bytes([signal.SIGTERM])


def command(settings: Settings, config: str) -> list[str]:
    """Envoy's command line. Draining proxies ask clients to leave at once instead of ever more likely."""
    return [
        settings.envoy,
        "--config-path",
        config,
        "--concurrency",
        str(settings.concurrency),
        "--drain-time-s",
        "45",
        "--drain-strategy",
        "immediate",
        "--log-level",
        settings.log_level,
        # The stats access logger's only field for a prefix counts as deprecated, and each use would be a warning.
        "--component-log-level",
        "misc:error",
        "--disable-hot-restart",
        "--allow-unknown-static-fields",
    ]


class Supervisor:
    """Runs Envoy until it ends by itself or the agent is asked to end it."""

    def __init__(
        self, settings: Settings, readiness: Readiness, admin_port: int = ADMIN_PORT
    ) -> None:
        self._settings = settings
        self._readiness = readiness
        self._admin_port = admin_port
        self._events, self._tell = os.pipe()

    def stop(self) -> None:
        """Ask for a drain and an end; may be called from any thread."""
        os.write(self._tell, _STOP)

    def run(self, arguments: Sequence[str]) -> int:
        """Start Envoy and stay with it; returns the exit code that the agent should end with."""
        # The signal's number goes straight into the pipe: a handler could come too late for a thread about to block.
        os.set_blocking(self._tell, False)
        signal.set_wakeup_fd(self._tell)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        envoy = subprocess.Popen(arguments)
        threading.Thread(target=self._await, args=(envoy,), daemon=True).start()
        if os.read(self._events, 1) == _ENDED:
            code = envoy.wait()
            print(f"agent: Envoy ended by itself with {code}", file=sys.stderr)  # noqa: T201
            return 128 - code if code < 0 else code
        self._readiness.drain()
        self._drain(envoy)
        self._end(envoy)
        return 0

    def _await(self, envoy: subprocess.Popen[bytes]) -> None:
        envoy.wait()
        os.write(self._tell, _ENDED)

    def _drain(self, envoy: subprocess.Popen[bytes]) -> None:
        settings = self._settings
        begun = time.monotonic()
        least = ROUTER_MINIMUM_SECONDS if settings.proxy_type == ROUTER else 0.0
        moved, since = -1, begun
        try:
            ask("127.0.0.1", self._admin_port, "/drain_listeners?graceful", method="POST")
        except HttpError:
            return
        while envoy.poll() is None:
            now = time.monotonic()
            if now - begun >= settings.drain_seconds:
                return
            active, total = self._traffic()
            if active or total != moved:
                moved, since = total, now
            elif now - begun >= least and now - since >= QUIET_SECONDS:
                return
            time.sleep(DRAIN_POLL_SECONDS)

    def _traffic(self) -> tuple[int, int]:
        try:
            page = ask("127.0.0.1", self._admin_port, f"/stats?filter=({'|'.join(TRAFFIC)})$")
        except HttpError:
            return 0, 0
        return traffic(page.body.decode("utf-8", "replace"))

    def _end(self, envoy: subprocess.Popen[bytes]) -> None:
        envoy.terminate()
        try:
            envoy.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            envoy.kill()


def traffic(page: str) -> tuple[int, int]:
    """Requests in flight, and bytes that came and went so far, by Envoy's statistics; its own pages are left out."""
    active = moved = 0
    for line in page.splitlines():
        name, _, value = line.rpartition(": ")
        if not (name and value.isdigit()) or name.startswith(_OWN):
            continue
        if name.endswith(ACTIVE):
            active += int(value)
        elif name.endswith(MOVED):
            moved += int(value)
    return active, moved
