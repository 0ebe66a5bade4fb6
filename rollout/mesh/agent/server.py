"""What the agent answers on its port: readiness, the merged metrics page, the application's probes, and the end.

Must not know how Envoy is run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollout.mesh.agent import metrics, probes
from rollout.mesh.agent.plainhttp import Answer, HttpError, Question, ask
from rollout.mesh.agent.settings import ADMIN_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout.mesh.agent.readiness import Readiness
    from rollout.mesh.agent.settings import Settings

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class Pages:
    """The routes of the agent's port, called from one thread per request."""

    def __init__(
        self,
        settings: Settings,
        readiness: Readiness,
        quit_: Callable[[], None],
        admin_port: int = ADMIN_PORT,
    ) -> None:
        self._pod_ip = settings.instance_ips[0]
        self._build = metrics.build(settings.version)
        self._readiness = readiness
        self._quit = quit_
        self._admin_port = admin_port
        self._probes = probes.parse(settings.app_probes)
        self._app = json.loads(settings.app_metrics) if settings.app_metrics else {}

    def answer(self, question: Question) -> Answer:
        """Route one request."""
        path = question.path
        if path == "/healthz/ready":
            problem = self._readiness.problem()
            return Answer(503, f"{problem}\n".encode()) if problem else Answer(200, b"ready\n")
        if path in ("/stats/prometheus", "/metrics"):
            return self._metrics()
        if path.startswith(probes.PREFIX):
            probe = self._probes.get(path)
            return probes.answer(probe, self._pod_ip) if probe else Answer(404, b"no such probe\n")
        if path == "/quitquitquit":
            return self._stop(question)
        return Answer(404, b"not found\n")

    def _stop(self, question: Question) -> Answer:
        if question.peer not in LOOPBACK:
            return Answer(403, b"only from inside the pod\n")
        if question.method != "POST":
            return Answer(405, b"use POST\n")
        self._quit()
        return Answer(200, b"ending\n")

    def _metrics(self) -> Answer:
        try:
            page = ask("127.0.0.1", self._admin_port, "/stats/prometheus?usedonly", seconds=5)
        except HttpError as error:
            return Answer(503, f"Envoy does not answer: {error}\n".encode())
        proxy = metrics.rewrite(page.body.decode("utf-8", "replace")) + self._build
        body = metrics.join(proxy, self._application())
        return Answer(200, body.encode(), METRICS_TYPE)

    def _application(self) -> str:
        """The application's own page, where its annotations named one; its failure doesn't hide the proxy's."""
        port = str(self._app.get("port", ""))
        if self._app.get("scrape") != "true" or not port.isdigit():
            return ""
        path = self._app.get("path") or "/metrics"
        source = "" if ":" in self._pod_ip else probes.BYPASS_SOURCE
        try:
            page = ask(self._pod_ip, int(port), path, seconds=5, source=source)
        except HttpError:
            return ""
        return page.body.decode("utf-8", "replace") if page.status == 200 else ""
