"""Gateway API's objects for tests: written short, as the API server would serve them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rollout.mesh.ingest.gatewayapi import exposure
from rollout.mesh.ingest.gatewayapi.conditions import Condition
from rollout.mesh.ingest.gatewayapi.outcome import CONTROLLER, GATEWAY, GatewayStatus
from rollout.mesh.model.problem import Ref
from tests.meshworld import World

Json = dict[str, Any]
V1 = "gateway.networking.k8s.io/v1"
CLASS: Json = {
    "apiVersion": V1,
    "kind": "GatewayClass",
    "metadata": {"name": "rollout", "generation": 1},
    "spec": {"controllerName": CONTROLLER},
}
PROXIES: Json = {
    "kind": "Service",
    "metadata": {"namespace": "istio-system", "name": "istio-ingressgateway", "uid": "u"},
    "spec": {"selector": {"istio": "ingressgateway"}, "clusterIPs": ["10.0.0.1"], "ports": []},
}


def service(namespace: str, name: str, port: int = 80) -> Json:
    ports = [{"name": "http", "port": port}]
    return {"kind": "Service", "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIPs": ["10.0.0.2"], "ports": ports}}  # fmt: skip


def namespace(name: str, **labels: str) -> Json:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **more: Any) -> Json:
    return {"name": name, "port": port, "protocol": protocol, **more}


def gateway(*listeners: Json, name: str = "front", **spec: Any) -> Json:
    return {
        "apiVersion": V1,
        "kind": "Gateway",
        "metadata": {"namespace": "shop", "name": name, "generation": 3},
        "spec": {"gatewayClassName": "rollout", "listeners": list(listeners), **spec},
    }


def route(
    *rules: Json,
    name: str = "r",
    namespace: str = "shop",
    parents: Iterable[Json] = ({"name": "front"},),
    created: str = "",
    **spec: Any,
) -> Json:
    metadata = {"namespace": namespace, "name": name, "generation": 5, "creationTimestamp": created}
    rest = {"parentRefs": list(parents), "rules": list(rules or ({"backendRefs": [to("web")]},))}
    return {"apiVersion": V1, "kind": "HTTPRoute", "metadata": metadata, "spec": {**rest, **spec}}


def to(name: str, port: int = 80, **more: Any) -> Json:
    return {"name": name, "port": port, **more}


def grant(source: str, namespace: str, *, kind: str = "HTTPRoute", target: Json) -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"namespace": namespace, "name": "g"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": source}],
            "to": [target],
        },
    }


def exposing(name: str = "front", ports: Iterable[int] = (80,)) -> list[Json]:
    """A Gateway's Service with a ready proxy behind it."""
    metadata = {
        "namespace": "istio-system",
        "name": exposure.service_name("shop", name),
        "labels": {exposure.LABEL: "gateway"},
        "annotations": {"gateway.rollout.dev/gateway": f"shop/{name}"},
    }
    listed = [{"name": f"http-{n}", "port": n, "targetPort": 20_000 + n} for n in ports]
    spec = {"selector": {"istio": "ingressgateway"}, "clusterIPs": ["10.0.0.9"], "ports": listed}
    labels = {"kubernetes.io/service-name": metadata["name"]}
    slice_ = {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "istio-system", "name": "s", "labels": labels},
        "ports": [{"name": each["name"], "port": each["targetPort"]} for each in listed],
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": True}}],
    }
    return [{"kind": "Service", "metadata": metadata, "spec": spec}, slice_]


def resolved(*objects: Json) -> World:
    """A mesh with a class, proxies, the Service `web`, and these objects, all resolved."""
    world = World([CLASS, PROXIES, service("shop", "web"), namespace("shop"), *objects])
    world.feed.flush()
    return world


def said(conditions: Iterable[Condition]) -> dict[str, str]:
    """Condition types with their reasons; those that do not hold marked by a `!`."""
    return {each.type: ("" if each.holds else "!") + each.reason for each in conditions}


def gateway_status(world: World, name: str = "front") -> GatewayStatus:
    return world.feed.gateway_api.outcome.gateway_statuses[Ref(GATEWAY, "shop", name)]


def route_said(world: World, name: str = "r", namespace: str = "shop") -> list[dict[str, str]]:
    """What each parent says of a route."""
    found = world.feed.gateway_api.outcome.route_statuses.get(Ref("HTTPRoute", namespace, name), ())
    return [said(each.conditions) for each in found]
