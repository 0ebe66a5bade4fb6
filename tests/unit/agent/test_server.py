from __future__ import annotations

import json
import socket
import threading

import pytest

from rollout.mesh.agent.plainhttp import Answer, Question, ask, serve
from rollout.mesh.agent.readiness import Readiness
from rollout.mesh.agent.server import Pages
from rollout.mesh.agent.settings import Settings

SETTINGS = Settings(
    proxy_type="sidecar",
    pod_name="catalog-1",
    namespace="shop",
    instance_ips=("127.0.0.1",),
    service_account="catalog",
    discovery_address="localhost:15010",
)


def pages(settings: Settings = SETTINGS, admin: int = 1) -> tuple[Pages, threading.Event]:
    ended = threading.Event()
    return Pages(settings, Readiness(admin), ended.set, admin), ended


def application(status: int = 200) -> tuple[int, list[Question]]:
    asked: list[Question] = []

    def handle(question: Question) -> Answer:
        asked.append(question)
        return Answer(status, b"app_requests 1\n")

    return serve(0, handle, "127.0.0.1"), asked


@pytest.mark.parametrize(
    ("peer", "method", "status", "ends"),
    [
        ("127.0.0.1", "POST", 200, True),
        ("127.0.0.1", "GET", 405, False),
        ("10.0.0.9", "POST", 403, False),
    ],
)
def test_only_the_pod_itself_may_end_the_proxy(
    peer: str, method: str, status: int, *, ends: bool
) -> None:
    served, ended = pages()
    assert served.answer(Question(method, "/quitquitquit", peer)).status == status
    assert ended.is_set() == ends


def test_a_probe_is_asked_from_an_address_that_is_not_intercepted() -> None:
    port, asked = application()
    probe = {"/app-health/web/readyz": {"httpGet": {"port": port, "path": "ready"}}}
    served, _ = pages(SETTINGS._replace(app_probes=json.dumps(probe)))
    answer = served.answer(Question("GET", "/app-health/web/readyz", "10.0.0.1"))
    assert answer == Answer(200, b"")
    assert [(question.path, question.peer) for question in asked] == [("/ready", "127.0.0.6")]


def test_a_failing_or_absent_application_fails_its_probe() -> None:
    port, _ = application(status=503)
    probes = {
        "/app-health/web/livez": {"httpGet": {"port": port}},
        "/app-health/web/readyz": {"httpGet": {"port": 1}},
        "/app-health/web/startupz": {"tcpSocket": {"port": 1}},
    }
    served, _ = pages(SETTINGS._replace(app_probes=json.dumps(probes)))
    statuses = [served.answer(Question("GET", path, "10.0.0.1")).status for path in probes]
    assert statuses == [503, 500, 500]
    assert served.answer(Question("GET", "/app-health/other/livez", "10.0.0.1")).status == 404


def test_a_tcp_probe_is_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probes = {"/app-health/db/readyz": {"tcpSocket": {"port": listener.getsockname()[1]}}}
        served, _ = pages(SETTINGS._replace(app_probes=json.dumps(probes)))
        assert served.answer(Question("GET", "/app-health/db/readyz", "10.0.0.1")).status == 200


def test_the_metrics_page_has_the_applications_as_well() -> None:
    def envoy(_question: Question) -> Answer:
        page = "# TYPE envoy_x_istio_requests_total counter\nenvoy_x_istio_requests_total{} 2\n"
        return Answer(200, page.encode())

    admin = serve(0, envoy, "127.0.0.1")
    port, _ = application()
    annotations = json.dumps({"scrape": "true", "port": str(port)})
    served, _ = pages(SETTINGS._replace(app_metrics=annotations), admin)
    body = served.answer(Question("GET", "/stats/prometheus", "10.0.0.1")).body.decode()
    assert "istio_requests_total{} 2" in body.splitlines()
    assert body.endswith("app_requests 1\n")


def test_an_application_whose_page_fails_does_not_hide_the_proxys() -> None:
    admin = serve(0, lambda _question: Answer(200, b"envoy_server_live{} 1\n"), "127.0.0.1")
    annotations = json.dumps({"scrape": "true", "port": "1"})
    served, _ = pages(SETTINGS._replace(app_metrics=annotations), admin)
    answer = served.answer(Question("GET", "/stats/prometheus", "10.0.0.1"))
    assert answer.status == 200
    assert answer.body.startswith(b"envoy_server_live{} 1\n# TYPE istio_build gauge\n")


def test_over_a_real_connection() -> None:
    served, _ = pages()
    port = serve(0, served.answer, "127.0.0.1")
    assert ask("127.0.0.1", port, "/healthz/ready").status == 503
    assert ask("127.0.0.1", port, "/").status == 404
