"""A synthetic mesh as Kubernetes' objects: Services with two pods each, and a VirtualService for each.

Knows nothing of processes or of time.
"""

from __future__ import annotations

from typing import Any

from rollout.mesh.agent.settings import TAKES_HOSTS

Json = dict[str, Any]
PORT = 80
NAMESPACES = 4
ROOT_NAMESPACE = "istio-system"


def namespace(index: int) -> str:
    return f"shop-{index % NAMESPACES}"


def name(index: int) -> str:
    return f"service-{index:04d}"


def service(index: int) -> Json:
    port = {"name": "http", "port": PORT, "targetPort": 8080}
    spec = {"clusterIP": _address(96, index), "selector": {"app": name(index)}, "ports": [port]}
    return _object("Service", index, name(index), spec=spec)


def pod_name(index: int, replica: int) -> str:
    return f"{name(index)}-5d4f8c7b9-{replica}"


def pod(index: int, replica: int) -> Json:
    labels = {"app": name(index), "version": "v1", "pod-template-hash": "5d4f8c7b9"}
    owner = {"kind": "ReplicaSet", "name": f"{name(index)}-5d4f8c7b9", "controller": True}
    found = _object("Pod", index, pod_name(index, replica), spec={"containers": []})
    found["metadata"] |= {"labels": labels, "ownerReferences": [owner]}
    return found


def endpoint_slice(index: int, replicas: int = 2) -> Json:
    found = _object("EndpointSlice", index, f"{name(index)}-1", addressType="IPv4")
    found["metadata"]["labels"] = {"kubernetes.io/service-name": name(index)}
    found["ports"] = [{"name": "http", "port": 8080}]
    found["endpoints"] = [
        {
            "addresses": [_address(64 + replica, index)],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": pod_name(index, replica)},
        }
        for replica in range(replicas)
    ]
    return found


def virtual_service(index: int, timeout: int = 0) -> Json:
    """A rule by header and a default one; the timeout in seconds is what changes."""
    destination = {"host": name(index), "port": {"number": PORT}}
    route = [{"destination": destination, "weight": 100}]
    rule = {
        "match": [{"headers": {"x-cohort": {"exact": "internal"}}}],
        "route": route,
        "timeout": f"{timeout + 1}s",
    }
    spec = {"hosts": [name(index)], "http": [rule, {"route": route, "timeout": "60s"}]}
    return _object("VirtualService", index, name(index), spec=spec)


def gateway(index: int) -> Json:
    servers = [
        {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [_public(index)]}
    ]
    spec = {"selector": {"istio": "ingressgateway"}, "servers": servers}
    return _object("Gateway", index, name(index), spec=spec)


def published(index: int) -> Json:
    """The VirtualService of a Service that its Gateway opens to callers from outside."""
    route = [{"destination": {"host": name(index), "port": {"number": PORT}}}]
    spec = {"hosts": [_public(index)], "gateways": [name(index)], "http": [{"route": route}]}
    return _object("VirtualService", index, f"{name(index)}-public", spec=spec)


def sidecar(*hosts: str) -> Json:
    """What the book limits all proxies to."""
    policy = {"mode": "REGISTRY_ONLY"}
    spec = {"egress": [{"hosts": list(hosts)}], "outboundTrafficPolicy": policy}
    found = _object("Sidecar", 0, "default", spec=spec)
    found["metadata"]["namespace"] = ROOT_NAMESPACE
    return found


def _public(index: int) -> str:
    return f"{name(index)}.example.com"


def node(index: int, replica: int) -> Json:
    """A sidecar's introduction of itself."""
    where, who = namespace(index), pod_name(index, replica)
    return {
        "id": f"sidecar~{_address(64 + replica, index)}~{who}.{where}~{where}.svc.cluster.local",
        "metadata": {
            "NAMESPACE": where,
            "NAME": who,
            "WORKLOAD_NAME": name(index),
            TAKES_HOSTS: "true",
        },
    }


def gateway_node() -> Json:
    """The ingress gateway's introduction of itself."""
    labels = {"istio": "ingressgateway"}
    who = f"router~10.80.0.1~istio-ingressgateway-1.{ROOT_NAMESPACE}~{ROOT_NAMESPACE}.svc.cluster.local"
    metadata = {"NAMESPACE": ROOT_NAMESPACE, "NAME": "istio-ingressgateway-1", "LABELS": labels}
    return {"id": who, "metadata": metadata}


def _address(second: int, index: int) -> str:
    return f"10.{second}.{index // 250}.{index % 250 + 1}"


def _object(kind: str, index: int, called: str, **more: Any) -> Json:
    versions = dict.fromkeys(("VirtualService", "Gateway", "Sidecar"), "networking.istio.io/v1")
    versions["EndpointSlice"] = "discovery.k8s.io/v1"
    metadata = {
        "namespace": namespace(index),
        "name": called,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata, **more}
