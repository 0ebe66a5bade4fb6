"""Whether the proxy can take traffic: Envoy is live, and has what the control plane serves.

Must not know who asks. Once ready it stays so until it drains: losing the control plane is no reason to lose traffic.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rollout.mesh.agent.plainhttp import HttpError, ask
from rollout.mesh.agent.settings import ADMIN_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

_STATS = (
    "server.state",
    "listener_manager.workers_started",
    "cluster_manager.cds.update_success",
    "listener_manager.lds.update_success",
)


class Readiness:
    """The answer to `/healthz/ready`; shared by the threads that serve it."""

    def __init__(
        self, admin_port: int = ADMIN_PORT, missing: Callable[[], str] = lambda: ""
    ) -> None:
        self._admin_port = admin_port
        self._missing = missing
        self._synced = threading.Event()
        self._draining = threading.Event()

    def drain(self) -> None:
        """From now on not ready, for good."""
        self._draining.set()

    def problem(self) -> str:
        """Why the proxy is not ready; empty when it is."""
        if self._draining.is_set():
            return "draining"
        if self._synced.is_set():
            return ""
        if problem := self._missing():
            return problem
        try:
            page = ask(
                "127.0.0.1", self._admin_port, f"/stats?filter=^({'|'.join(_STATS)})$", seconds=1
            )
        except HttpError as error:
            return f"Envoy does not answer: {error}"
        problem = judge(page.body.decode("utf-8", "replace"))
        if not problem:
            self._synced.set()
        return problem


def judge(page: str) -> str:
    """What the four counters say: the first thing that is missing, or nothing."""
    values = dict(line.partition(": ")[::2] for line in page.splitlines())
    if values.get("cluster_manager.cds.update_success", "0") == "0":
        return "no clusters received from the control plane yet"
    if values.get("listener_manager.lds.update_success", "0") == "0":
        return "no listeners received from the control plane yet"
    if values.get("server.state") != "0":
        return "Envoy is still initializing"
    if values.get("listener_manager.workers_started") != "1":
        return "Envoy's workers have not started"
    return ""
