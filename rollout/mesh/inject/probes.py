"""The application's probes, sent to the agent instead of through the proxy.

Through the proxy each would count as a request of a user: a version without users would look healthy.
A workload that takes mutual TLS alone would refuse them. Pure. Probes that run a program or ask another host stay.
"""

from __future__ import annotations

from typing import Any

from rollout.mesh.agent.settings import AGENT_PORT

Json = dict[str, Any]

_PATHS = {"livenessProbe": "livez", "readinessProbe": "readyz", "startupProbe": "startupz"}


def rewrite(container: Json) -> tuple[Json, dict[str, Json]]:
    """The container with its probes pointed at the agent, and the original probes by the agent's path."""
    changed, originals = dict(container), {}
    for field, word in _PATHS.items():
        original = _original(container.get(field) or {}, container)
        if original is None:
            continue
        path = f"/app-health/{container['name']}/{word}"
        originals[path] = original
        kept = {
            key: value
            for key, value in container[field].items()
            if key not in ("httpGet", "tcpSocket", "grpc")
        }
        changed[field] = {**kept, "httpGet": {"path": path, "port": AGENT_PORT, "scheme": "HTTP"}}
    return changed, originals


def _original(probe: Json, container: Json) -> Json | None:
    """What the agent has to ask, ports as numbers; None where the probe is not to be moved."""
    for handler in ("httpGet", "tcpSocket", "grpc"):
        action = probe.get(handler)
        if action is None or action.get("host"):
            continue
        port = _number(action.get("port"), container)
        if port is not None:
            seconds = probe.get("timeoutSeconds") or 1
            return {handler: {**action, "port": port}, "timeoutSeconds": seconds}
    return None


def _number(port: Any, container: Json) -> int | None:
    if isinstance(port, int):
        return port
    if isinstance(port, str) and port.isdigit():
        return int(port)
    named = (p for p in container.get("ports") or () if p.get("name") == port)
    return next((int(p["containerPort"]) for p in named), None)
