"""A proxy's node, as Envoy introduces itself, to all that its configuration depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rollout.mesh.agent.settings import ASKS, TAKES_HOSTS
from rollout.mesh.ingest.services import Json, locality, workload
from rollout.mesh.model.proxy import InboundPort, Proxy, ProxyType
from rollout.mesh.model.reach import Ingress, Reach
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import Port, Protocol, Service

_PARTS = 4
_PODS_OWN = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
    }
)


def pod_key(node: Json) -> tuple[str, str]:
    """Namespace and name of the proxy's pod; ValueError where the id is not `type~address~pod.namespace~domain`."""
    parts = str(node.get("id", "")).split("~")
    if len(parts) != _PARTS or parts[0] not in {kind.value for kind in ProxyType}:
        raise ValueError(
            f"node id {node.get('id', '')!r} is not sidecar~address~pod.namespace~domain"
        )
    metadata = node.get("metadata") or {}
    name, _, namespace = parts[2].rpartition(".")
    return str(metadata.get("NAMESPACE") or namespace), str(metadata.get("NAME") or name)


def proxy(node: Json, pod: Json | None, registry: Registry) -> Proxy:
    """The proxy, by its pod where it is known, else by what it says of itself."""
    namespace, name = pod_key(node)
    metadata: Mapping[str, Any] = node.get("metadata") or {}
    labels: Mapping[str, str] = metadata.get("LABELS") or {}
    if pod is not None:
        labels = pod["metadata"].get("labels") or {}
    kind = ProxyType(str(node["id"]).split("~", 1)[0])
    pairs = frozenset((str(key), str(value)) for key, value in labels.items())
    pod_ports = tuple(
        _inbound(service, port, number)
        for service in registry.selecting(namespace, pairs)
        for port in service.ports
        if port.protocol is not Protocol.UDP and (number := _container_port(port, pod)) is not None
    )
    # A gateway's proxy serves many: what limits it are its Gateways' routes.
    scope = registry.scopes.of(namespace, pairs) if kind is ProxyType.SIDECAR else None
    asks = registry.on_demand and kind is ProxyType.SIDECAR and metadata.get(ASKS) == "true"
    usual = Reach(allow_any=registry.allow_any, on_demand=asks)
    return Proxy(
        type=kind,
        workload=workload(
            namespace=namespace,
            name=str(metadata.get("WORKLOAD_NAME") or name),
            labels=labels,
            account=str(metadata.get("SERVICE_ACCOUNT") or "default"),
        ),
        inbound=_declared(scope.ingress, pod_ports) if scope and scope.ingress else pod_ports,
        # Without the labels that are a pod's own, a workload's pods are equal.
        labels=frozenset((name, value) for name, value in pairs if name not in _PODS_OWN),
        locality=locality(labels)
        or registry.places.get(str(metadata.get("NODE_NAME", "")), "")
        or _own_locality(node),
        near=frozenset(pair for pair in pairs if pair[0] in registry.policies.compared),
        takes_hosts=kind is ProxyType.SIDECAR and metadata.get(TAKES_HOSTS) == "true",
        reach=scope.reach(namespace, usual) if scope else usual,
    )


def _declared(
    ingress: tuple[Ingress, ...], pod_ports: tuple[InboundPort, ...]
) -> tuple[InboundPort, ...]:
    """What a Sidecar says in place of the services, which still give their names where they lead to such a port."""
    known = {each.port: each for each in reversed(pod_ports)}
    nobody = InboundPort(
        port=0, service_port=0, protocol=Protocol.AUTO, service="", service_name=""
    )
    return tuple(
        replace(
            known.get(each.port, replace(nobody, service_port=each.port)),
            port=each.port,
            protocol=each.protocol,
            to=each.to,
        )
        for each in ingress
    )


def hosts(namespace: str, pod: Json, registry: Registry) -> frozenset[str]:
    """The hosts of the services that a pod is behind."""
    pairs = frozenset((pod["metadata"].get("labels") or {}).items())
    return frozenset(each.host for each in registry.selecting(namespace, pairs))


def _own_locality(node: Json) -> str:
    """What Envoy was told at its start."""
    given: Mapping[str, Any] = node.get("locality") or {}
    found = "/".join(str(given.get(part, "")) for part in ("region", "zone", "subZone"))
    return found.rstrip("/")


def _inbound(service: Service, port: Port, number: int) -> InboundPort:
    return InboundPort(
        port=number,
        service_port=port.number,
        protocol=port.protocol,
        service=service.host,
        service_name=service.name,
    )


def _container_port(port: Port, pod: Json | None) -> int | None:
    if isinstance(port.target, int):
        return port.target
    if port.target.isdecimal():
        return int(port.target)
    containers = ((pod or {}).get("spec") or {}).get("containers") or ()
    for container in containers:
        for entry in container.get("ports") or ():
            if entry.get("name") == port.target:
                return int(entry["containerPort"])
    return None
