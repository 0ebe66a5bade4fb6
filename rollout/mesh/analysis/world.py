"""A set of objects, sorted by kind, and what the control plane makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TypeVar

from rollout.api.errors import InvalidObject
from rollout.api.gatewayapi import HTTPRoute, ReferenceGrant
from rollout.api.gatewayapi.grpcroute import GRPCRoute
from rollout.api.gatewayapi.references import GROUP
from rollout.api.model import Resource
from rollout.mesh.ingest.feed import ROUTING_KINDS, Feed
from rollout.mesh.ingest.gatewayapi.grants import Grants
from rollout.mesh.ingest.gatewayapi.httproutes import http_route
from rollout.mesh.ingest.gatewayapi.outcome import CONTROLLER, GATEWAY
from rollout.mesh.ingest.gatewayapi.reading import RouteReading
from rollout.mesh.ingest.services import Json
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry

_R = TypeVar("_R", bound=Resource)
_CLASS, _GRANT = "GatewayClass", "ReferenceGrant"
_ROUTES: dict[str, type[HTTPRoute | GRPCRoute]] = {"HTTPRoute": HTTPRoute, "GRPCRoute": GRPCRoute}
_OURS: Json = {
    "apiVersion": f"{GROUP}/v1",
    "kind": _CLASS,
    "metadata": {"name": "rollout"},
    "spec": {"controllerName": CONTROLLER},
}
"""The chart's, which files that are looked at alone lack."""
_KUBERNETES = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")


class World:
    """`objects` by kind, each with its namespace; `registry` and `feed` as they would be in the control plane.

    `routes` are Gateway API's, of all kinds, `gateways` its Gateways, whoever's they are.
    """

    def __init__(self, objects: Iterable[Json], root_namespace: str) -> None:
        self.objects: dict[str, list[Json]] = defaultdict(list)
        for obj in objects:
            self.objects[_kind(obj)].append(_placed(obj))
        self.system = frozenset({*_KUBERNETES, root_namespace})
        self.registry = Registry(root_namespace)
        self.feed = Feed(self.registry, slices_of=lambda *_: (), pod_of=lambda *_: None)
        for service in self.objects["Service"]:
            self.feed.service(*_key(service), service)
        for kind in ROUTING_KINDS:
            for obj in self.objects[kind]:
                self.feed.routing(kind, *_key(obj), obj)
        self._feed_gateway_api()
        self.feed.flush()
        self.routes = tuple(self._routes())
        self.gateways = frozenset(Ref(GATEWAY, *_key(obj)) for obj in self.objects[GATEWAY])

    def _feed_gateway_api(self) -> None:
        for obj in self.objects["Namespace"]:
            metadata = obj["metadata"]
            self.feed.gateway_api.namespace(metadata["name"], metadata.get("labels") or {})
        for obj in self.objects[_CLASS] or [_OURS]:
            self.feed.gateway_api.put(Ref(_CLASS, "", obj["metadata"]["name"]), obj)
        for kind in (_GRANT, GATEWAY, *_ROUTES):
            for obj in self.objects[kind]:
                self.feed.gateway_api.put(Ref(kind, *_key(obj)), obj)

    def _routes(self) -> Iterator[RouteReading]:
        grants = Grants(_parsed(ReferenceGrant, self.objects[_GRANT]))
        for kind, model in _ROUTES.items():
            for route in _parsed(model, self.objects[kind]):
                yield http_route(route, self.registry.services, grants)

    @property
    def injected(self) -> frozenset[str]:
        """The namespaces whose new pods get a proxy."""
        return frozenset(
            obj["metadata"]["name"]
            for obj in self.objects["Namespace"]
            if _asks(obj["metadata"].get("labels") or {})
        )


def _asks(labels: Mapping[str, str]) -> bool:
    """By a revision's name too, since `istio-injection` takes precedence over it."""
    word = labels.get("istio-injection")
    return "istio.io/rev" in labels if word is None else word == "enabled"


def _kind(obj: Json) -> str:
    """Istio and Gateway API both have Gateways."""
    kind, group = str(obj.get("kind")), str(obj.get("apiVersion")).partition("/")[0]
    return GATEWAY if (kind, group) == ("Gateway", GROUP) else kind


def _parsed(model: type[_R], objects: Iterable[Json]) -> Iterator[_R]:
    """Those that can be read."""
    for obj in objects:
        with suppress(InvalidObject):
            yield model.parse(obj)


def _placed(obj: Json) -> Json:
    """Files leave the namespace to `kubectl -n`; namespaces themselves are in none."""
    metadata = obj.get("metadata") or {}
    return {**obj, "metadata": {"namespace": "default", **metadata}}


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
