"""How a Gateway is reached: a Service of its own, in front of the proxies of the chart's gateway, on ports of its own.

So every Gateway has an address of its own without having pods of its own. The Service stands in the proxies' namespace,
since a Service finds pods of its own namespace only; it belongs to the chart's, with which it goes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]

PROXIES = "istio-ingressgateway"
"""The chart's gateway: the Service that says which pods serve, and how they are exposed."""
LABEL = "gateway.rollout.dev/exposes"
_FOR = "gateway.rollout.dev/gateway"
_FIRST, _PORTS = 20_000, 10_000
_NAME = 40


def service_name(namespace: str, name: str) -> str:
    """The name of a Gateway's Service."""
    readable = re.sub(r"[^a-z0-9-]", "-", name)[:_NAME].strip("-")
    return f"gateway-{readable}-{_digest(f'{namespace}/{name}')[:8]}"


def exposed_by(service: Json) -> str:
    """`namespace/name` of the Gateway that a Service is for; empty where it is for none."""
    metadata = service["metadata"]
    labels = metadata.get("labels") or {}
    return str((metadata.get("annotations") or {}).get(_FOR) or "") if LABEL in labels else ""


def addresses_of(service: Json) -> tuple[str, ...]:
    """Where a Service is reached: what its load balancer has, else its cluster addresses."""
    spec = service.get("spec") or {}
    if spec.get("type") == "LoadBalancer":
        given = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        return tuple(str(each.get("ip") or each.get("hostname")) for each in given)
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return tuple(each for each in addresses if each and each != "None")


def services_for(
    wanted: Mapping[tuple[str, str], Mapping[int, bool]], proxies: Json, existing: Iterable[Json]
) -> list[dict[str, Any]]:
    """The Services of Gateways (namespace, name), whose ports are HTTPS or not; `existing` are those that are there.

    The pods' ports stay as they are; a new one is free, and where two have one the older Service keeps it.
    """
    known = {str(each["metadata"]["name"]): each for each in existing}
    taken: set[int] = set()
    kept = {
        name: _kept(known[name], taken)
        for name in sorted(known, key=lambda n: (known[n]["metadata"]["creationTimestamp"], n))
    }
    return [
        _service(gateway, wanted[gateway], proxies, kept.get(service_name(*gateway), {}), taken)
        for gateway in sorted(wanted)
    ]


def _kept(service: Json, taken: set[int]) -> dict[int, int]:
    found = {}
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort")
        if isinstance(target, int) and target not in taken:
            taken.add(target)
            found[int(port["port"])] = target
    return found


def _service(
    gateway: tuple[str, str],
    ports: Mapping[int, bool],
    proxies: Json,
    kept: Mapping[int, int],
    taken: set[int],
) -> dict[str, Any]:
    namespace, name = gateway
    metadata, spec = proxies["metadata"], proxies["spec"]
    entries = []
    for number, encrypted in sorted(ports.items()):
        target = kept.get(number) or _free(f"{namespace}/{name}/{number}", taken)
        protocol = "https" if encrypted else "http"
        entries.append({"name": f"{protocol}-{number}", "port": number, "targetPort": target})
    return {
        "metadata": {
            "name": service_name(namespace, name),
            "namespace": metadata["namespace"],
            "labels": {LABEL: "gateway", "app.kubernetes.io/managed-by": "rollout-mesh"},
            "annotations": {_FOR: f"{namespace}/{name}"},
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                }
            ],
        },
        "spec": {
            "type": spec.get("type") or "ClusterIP",
            "selector": dict(spec.get("selector") or {}),
            "ports": entries,
        },
    }


def _free(key: str, taken: set[int]) -> int:
    """A port for a key that is nobody's: the same wherever it is chosen, unless that is taken."""
    number = int(_digest(key), 16) % _PORTS
    while _FIRST + number in taken:
        number = (number + 1) % _PORTS
    taken.add(_FIRST + number)
    return _FIRST + number


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
