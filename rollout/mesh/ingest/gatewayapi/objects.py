"""Gateway API's objects as parsed, and which routes refer to what. Knows nothing of what comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from rollout.api.gatewayapi.gateway import Gateway, GatewayClass
from rollout.api.gatewayapi.grpcroute import GRPCRoute
from rollout.api.gatewayapi.httproute import HTTPRoute
from rollout.api.gatewayapi.referencegrant import ReferenceGrant
from rollout.api.gatewayapi.references import ObjectReference, ParentReference
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.service import service_host

AnyRoute = HTTPRoute | GRPCRoute
Labels = Mapping[str, str]
Key = TypeVar("Key")


@dataclass(slots=True, kw_only=True)
class Objects:
    """The objects; `namespaces` are the labels of each, `addresses` those of Gateways' Services by host."""

    classes: dict[Ref, GatewayClass] = field(default_factory=dict)
    gateways: dict[Ref, Gateway] = field(default_factory=dict)
    grants: dict[Ref, ReferenceGrant] = field(default_factory=dict)
    namespaces: dict[str, Labels] = field(default_factory=dict)
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    routes: dict[Ref, AnyRoute] = field(default_factory=dict)
    _children: dict[Ref, set[Ref]] = field(default_factory=dict)
    _leading_to: dict[str, set[Ref]] = field(default_factory=dict)

    def put_route(self, ref: Ref, route: AnyRoute | None) -> None:
        """Puts, replaces or removes a route."""
        if (old := self.routes.pop(ref, None)) is not None:
            _remove(self._children, parents_of(old), ref)
            _remove(self._leading_to, _backends(old), ref)
        if route is not None:
            self.routes[ref] = route
            for parent in parents_of(route):
                self._children.setdefault(parent, set()).add(ref)
            for host in _backends(route):
                self._leading_to.setdefault(host, set()).add(ref)

    def children(self, parent: Ref) -> frozenset[Ref]:
        """The routes that name this parent."""
        return frozenset(self._children.get(parent, ()))

    def leading_to(self, host: str) -> frozenset[Ref]:
        """The routes with a Service as backend, by its host."""
        return frozenset(self._leading_to.get(host, ()))


def parents_of(route: AnyRoute) -> frozenset[Ref]:
    """The objects that a route names as parents."""
    return frozenset(meant(each, route.namespace) for each in route.spec.parent_refs)


def meant(parent: ParentReference, namespace: str) -> Ref:
    """The object that a route of a namespace means."""
    kind = f"{parent.kind}.{parent.group}" if parent.group else parent.kind
    return Ref(kind, parent.namespace or namespace, parent.name)


def _remove(index: dict[Key, set[Ref]], keys: Iterable[Key], ref: Ref) -> None:
    for key in keys:
        index[key].discard(ref)
        if not index[key]:
            del index[key]


def _backends(route: AnyRoute) -> frozenset[str]:
    """The hosts that a route leads to."""
    return frozenset(
        service_host(reference.namespace or route.namespace, reference.name)
        for reference in _references(route)
    )


def _references(route: AnyRoute) -> Iterator[ObjectReference]:
    for rule in route.spec.rules:
        yield from rule.backend_refs
        mirrors = (each.request_mirror for each in rule.filters)
        yield from (mirror.backend_ref for mirror in mirrors if mirror is not None)
