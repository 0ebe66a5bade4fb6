"""A mesh made of plain objects, without a cluster: what goes in are manifests, what comes out are Envoy's messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToJson

from rollout.api.chaos import ChaosExperiment
from rollout.api.istio.meshconfig import MeshConfig
from rollout.mesh.ingest.credentials import trim_secret
from rollout.mesh.ingest.experiments import leased_fault
from rollout.mesh.ingest.feed import ROUTING_KINDS, Feed
from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY
from rollout.mesh.ingest.proxies import proxy
from rollout.mesh.ingest.telemetry import mesh_telemetry
from rollout.mesh.model.fault import LeasedFault
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.proxy import Proxy
from rollout.mesh.model.registry import Registry
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import MESSAGES, Resource
from rollout.mesh.translate.views import View, Views

Json = dict[str, Any]
TYPES = {
    "clusters": names.CLUSTER,
    "endpoints": names.ENDPOINTS,
    "listeners": names.LISTENER,
    "routes": names.ROUTES,
    "secrets": names.SECRET,
    "extensions": names.EXTENSION,
}


class World:
    """Objects, and the views of proxies on them."""

    def __init__(
        self,
        objects: Iterable[Json] = (),
        *,
        allow_any: bool = True,
        mutual_tls: MutualTLS = MutualTLS.NONE,
        mesh_config: Json | None = None,
    ) -> None:
        telemetry = mesh_telemetry(MeshConfig.read(json.dumps(mesh_config or {})))
        self.registry = Registry(allow_any=allow_any, mutual_tls=mutual_tls, telemetry=telemetry)
        self._slices: dict[tuple[str, str], dict[str, Json]] = {}
        self._pods: dict[tuple[str, str], Json] = {}
        self.feed = Feed(
            self.registry,
            slices_of=lambda ns, name: self._slices.get((ns, name), {}).values(),
            pod_of=lambda ns, name: self._pods.get((ns, name)),
            pods_in=lambda ns: [pod for key, pod in self._pods.items() if key[0] == ns],
        )
        self.views = Views(self.registry)
        self.faults: dict[tuple[str, str], LeasedFault] = {}
        for obj in objects:
            self.put(obj)

    def put(self, obj: Json) -> None:
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        match obj["kind"]:
            case kind if obj.get("apiVersion", "").startswith("gateway.networking.k8s.io/"):
                self.feed.gateway_api.put(Ref(GATEWAY if kind == "Gateway" else kind, *key), obj)
            case "Namespace":
                self.feed.gateway_api.namespace(key[1], metadata.get("labels") or {})
            case "Service":
                self.feed.service(*key, obj)
            case "EndpointSlice":
                service = metadata["labels"]["kubernetes.io/service-name"]
                self._slices.setdefault((key[0], service), {})[key[1]] = obj
                self.feed.slice(obj)
            case "Ingress":
                self.feed.ingresses.put(*key, obj)
            case "IngressClass":
                self.feed.ingresses.put_class(key[1], obj)
            case "Node":
                self.feed.node(key[1], obj)
            case "Pod":
                self._pods[key] = obj
                self.feed.pod(key[0])
            case "ChaosExperiment":
                fault = leased_fault(ChaosExperiment.parse(obj))
                assert isinstance(fault, LeasedFault), fault
                self.faults[key] = fault
            case "Secret":
                namespaces = self.registry.credential_namespaces
                self.registry.credential_namespaces = namespaces | {key[0]}
                self.feed.secret(*key, trim_secret(obj))
            case kind if kind in ROUTING_KINDS:
                self.feed.routing(kind, *key, obj)
            case kind:
                raise AssertionError(f"a mesh has no {kind}")

    def remove(self, obj: Json) -> None:
        metadata = obj["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if obj["kind"] == "Service":
            self.feed.service(*key, None)
        elif obj["kind"] == "EndpointSlice":
            service = metadata["labels"]["kubernetes.io/service-name"]
            del self._slices[key[0], service][key[1]]
            self.feed.slice(obj)
        else:
            self.feed.routing(obj["kind"], *key, None)

    def proxy(
        self,
        kind: str,
        namespace: str,
        name: str,
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Proxy:
        node = {
            "id": f"{kind}~10.0.0.9~{name}-1.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {
                "NAMESPACE": namespace,
                "WORKLOAD_NAME": name,
                "LABELS": dict(labels or {}),
                **(metadata or {}),
            },
        }
        return proxy(node, self._pods.get((namespace, f"{name}-1")), self.registry)

    def view(self, who: Proxy) -> View:
        self.feed.flush()
        self.views.refresh(self.registry.drain())
        self.views.inject(tuple(self.faults.values()))
        return self.views.view(who)

    def problems(self) -> list[Problem]:
        return sorted(each for found in self.feed.problems.values() for each in found)


def decode(type_url: str, resource: Resource) -> Any:
    """The message inside a resource."""
    response = discovery_pb2.DeltaDiscoveryResponse.FromString(resource.encoded)
    (wrapped,) = response.resources
    assert (wrapped.name, wrapped.version) == (resource.name, resource.version)
    assert wrapped.resource.type_url == type_url
    return MESSAGES[type_url].FromString(wrapped.resource.value)


def as_json(message: Any) -> Json:
    """Envoy's JSON of a message."""
    found: Json = json.loads(MessageToJson(message, preserving_proto_field_name=True))
    return found


def messages(view: View, kind: str) -> dict[str, Any]:
    """The messages of a type (`clusters`, `routes`, …) by name."""
    type_url = TYPES[kind]
    return {
        name: decode(type_url, resource)
        for name, resource in sorted(view.resources[type_url].items())
    }
