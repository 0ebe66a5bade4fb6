"""The kubelet's probes of the application, asked on its behalf from inside the pod.

Through the proxy they would count as requests, and a canary without users would look healthy.
Must not know readiness of the proxy itself.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from rollout.mesh.agent.grpcprobe import serving
from rollout.mesh.agent.plainhttp import Answer, HttpError, ask, connects

PREFIX = "/app-health/"

# Traffic from this source address is not intercepted again; see iptables.py.
BYPASS_SOURCE = "127.0.0.6"


class AppProbe(NamedTuple):
    """One probe as the pod declared it."""

    port: int
    path: str = "/"
    tls: bool = False
    tcp: bool = False
    grpc: bool = False
    service: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 1.0


def parse(text: str) -> dict[str, AppProbe]:
    """The injector's JSON, by path (`/app-health/<container>/livez`); empty text means no probes."""
    return {path: _probe(probe) for path, probe in json.loads(text).items()} if text else {}


def answer(probe: AppProbe, pod_ip: str) -> Answer:
    """What the application says, its body left out; 500 with the reason when it says nothing."""
    source = "" if ":" in pod_ip else BYPASS_SOURCE
    if probe.tcp:
        ok = connects(pod_ip, probe.port, seconds=probe.seconds, source=source)
        return Answer(200 if ok else 500, b"")
    if probe.grpc:
        problem = serving(pod_ip, probe.port, probe.service, seconds=probe.seconds, source=source)
        return Answer(500 if problem else 200, problem.encode())
    try:
        reply = ask(
            pod_ip,
            probe.port,
            probe.path,
            headers=dict(probe.headers),
            seconds=probe.seconds,
            limit=1 << 20,
            source=source,
            tls=probe.tls,
        )
    except HttpError as error:
        return Answer(500, f"{error}\n".encode())
    return Answer(reply.status, b"")


def _probe(probe: dict[str, Any]) -> AppProbe:
    seconds = float(probe.get("timeoutSeconds") or 1)
    if tcp := probe.get("tcpSocket"):
        return AppProbe(int(tcp["port"]), tcp=True, seconds=seconds)
    if grpc := probe.get("grpc"):
        service = str(grpc.get("service") or "")
        return AppProbe(int(grpc["port"]), grpc=True, service=service, seconds=seconds)
    get = probe["httpGet"]
    path = get.get("path") or "/"
    headers = tuple((item["name"], item["value"]) for item in get.get("httpHeaders") or ())
    return AppProbe(
        int(get["port"]),
        path if path.startswith("/") else f"/{path}",
        tls=get.get("scheme") == "HTTPS",
        headers=(("User-Agent", "kube-probe/rollout"), *headers),
        seconds=seconds,
    )
