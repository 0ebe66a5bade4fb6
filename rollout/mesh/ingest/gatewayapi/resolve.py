"""All of Gateway API's objects, and the registry's Services and certificates, to what comes of them together.

Whoever knows of a change says what it is about; only that, and what depends on it, is resolved again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from rollout.api.gatewayapi.references import ParentReference
from rollout.mesh.ingest.gatewayapi.attachment import Attachments
from rollout.mesh.ingest.gatewayapi.conditions import ACCEPTED, Condition, not_accepted
from rollout.mesh.ingest.gatewayapi.described import Described, forget, proxies
from rollout.mesh.ingest.gatewayapi.grants import NEEDLESS, Grants
from rollout.mesh.ingest.gatewayapi.httproutes import http_route
from rollout.mesh.ingest.gatewayapi.listeners import listeners_of
from rollout.mesh.ingest.gatewayapi.mesh import SERVICE, MeshAttachments, overriding
from rollout.mesh.ingest.gatewayapi.objects import Objects, meant, parents_of
from rollout.mesh.ingest.gatewayapi.outcome import (
    CONTROLLER,
    GATEWAY,
    ClassStatus,
    Outcome,
    ParentStatus,
)
from rollout.mesh.ingest.gatewayapi.reading import RouteReading
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import service_host

Attach = Callable[[RouteReading, ParentReference], Condition]


class Resolver:
    """Keeps `outcome` as the objects are: what changed is said by the other methods, and taken up by `resolve`."""

    def __init__(self, objects: Objects, registry: Registry) -> None:
        self._objects, self._registry = objects, registry
        self._grants = Grants(())
        self._ours: frozenset[str] = frozenset()
        self._opened: dict[Ref, Attachments] = {}
        self._tables: dict[Ref, frozenset[Ref]] = {}
        self._first: dict[str, tuple[Ref, Ref | None]] = {}
        self._parents: dict[Ref, frozenset[Ref]] = {}
        self._readings: dict[tuple[Ref, bool], RouteReading] = {}
        self._said: dict[Ref, dict[int, ParentStatus]] = {}
        self._stale_routes: set[Ref] = set()
        self._stale_parents: set[Ref] = set()
        self._stale = False
        self.outcome = Outcome()

    def route(self, ref: Ref) -> None:
        """A route, or something that it refers to, came, changed or went."""
        for needing in (True, False):
            self._readings.pop((ref, needing), None)
        self._stale_routes.add(ref)

    def gateway(self, ref: Ref) -> None:
        """A Gateway, or something that it is reached by, came, changed or went."""
        self._stale_parents.add(ref)

    def gateways(self) -> None:
        """What all Gateways may refer to changed."""
        self._stale_parents.update(self._objects.gateways)

    def namespace(self, name: str) -> None:
        """A namespace's labels changed, by which listeners take routes."""
        self._stale_routes.update(ref for ref in self._objects.routes if ref.namespace == name)

    def service(self, ref: Ref) -> None:
        """A Service came, changed or went."""
        host = service_host(ref.namespace, ref.name)
        for each in self._objects.leading_to(host):
            self.route(each)
        if self._objects.children(ref):
            self._stale_parents.add(ref)
        if host == proxies(self._registry):
            self.gateways()

    def rerouted(self, hosts: Iterable[str]) -> None:
        """Route tables for these hosts changed: VirtualServices among them come before routes of their Services."""
        for host in hosts:
            canonical = self._registry.canonical(host)
            known = self._first.get(canonical)
            if known is not None and known[1] != overriding(self._registry, canonical):
                self._stale_parents.add(known[0])

    def everything(self) -> None:
        """A GatewayClass or a ReferenceGrant came, changed or went."""
        self._readings.clear()
        self._stale = True
        self._stale_routes.update(self._objects.routes)
        self._stale_parents.update(self._objects.gateways, self._opened)

    def resolve(self) -> frozenset[Ref] | None:
        """Takes up all changes: which gateways and tables of the outcome may be others now. None where nothing was said."""
        if not (self._stale or self._stale_routes or self._stale_parents):
            return None
        if self._stale:
            self._grants = Grants(self._objects.grants.values())
            self._ours = self._classes()
        self._stale = False
        routes, self._stale_routes = frozenset(self._stale_routes), set()
        anew, self._stale_parents = frozenset(self._stale_parents), set()
        touched: set[Ref] = set()
        told = set(routes)
        for parent in sorted(anew | self._parents_of(routes)):
            told |= self._objects.children(parent)
            if parent.kind == GATEWAY:
                self._resolve_gateway(parent, routes, anew=parent in anew)
                touched.add(parent)
            elif parent.kind == SERVICE:
                touched |= self._resolve_service(parent)
        for ref in told:
            self._tell(ref)
        return frozenset(touched)

    def _classes(self) -> frozenset[str]:
        """The classes that are this mesh's and can be served."""
        statuses = self.outcome.class_statuses
        statuses.clear()
        for ref, each in self._objects.classes.items():
            if each.spec.controller_name != CONTROLLER:
                continue
            accepted = ACCEPTED
            if each.spec.parameters_ref is not None:
                reason = "spec.parametersRef is not acted upon by this version: remove it"
                accepted = not_accepted("InvalidParameters", reason)
            statuses[ref] = ClassStatus(each.metadata.generation, (accepted,))
        return frozenset(ref.name for ref, each in statuses.items() if each.conditions[0].holds)

    def _parents_of(self, routes: Iterable[Ref]) -> frozenset[Ref]:
        """The parents of routes as they were and as they are; what was said at them is forgotten."""
        found: set[Ref] = set()
        for ref in routes:
            self._said.pop(ref, None)
            found |= self._parents.pop(ref, frozenset())
            if (route := self._objects.routes.get(ref)) is not None:
                self._parents[ref] = parents_of(route)
                found |= self._parents[ref]
        return frozenset(found)

    def _resolve_gateway(self, ref: Ref, routes: AbstractSet[Ref], *, anew: bool) -> None:
        """Attaches routes that changed to a Gateway; all of them where its listeners are others than before."""
        parsed = self._objects.gateways.get(ref)
        children = self._objects.children(ref)
        if parsed is None or parsed.spec.gateway_class_name not in self._ours:
            self._opened.pop(ref, None)
            forget(ref, self.outcome)
            for child in children:
                self._unsay(child, ref)
            return
        opened = self._opened.get(ref)
        if anew or opened is None:
            listeners = listeners_of(parsed, self._registry, self._grants)
            if opened is None or opened.readings != listeners:
                opened = self._opened[ref] = Attachments(parsed.namespace, listeners)
                routes = children
        for each in routes:
            opened.detach(each)
        for child in children & routes:
            labels = self._objects.namespaces.get(child.namespace, {})
            reading = self._reading(child, needing=True)
            for index, parent in self._meaning(reading, ref):
                self._say(reading, index, parent, opened.attach(reading, parent, labels))
        Described(parsed, opened, self._objects.addresses, self._registry).tell(ref, self.outcome)

    def _resolve_service(self, ref: Ref) -> frozenset[Ref]:
        """Attaches all routes of a Service to it; answers the tables that it had or has."""
        mesh = MeshAttachments(self._registry)
        children = self._objects.children(ref)
        for child in children:
            reading = self._reading(child, needing=False)
            for index, parent in self._meaning(reading, ref):
                self._say(reading, index, parent, mesh.attach(reading, parent))
        host = service_host(ref.namespace, ref.name)
        self._first.pop(host, None)
        if children:
            self._first[host] = (ref, overriding(self._registry, host))
        before, made = self._tables.pop(ref, frozenset()), mesh.tables()
        if made:
            self._tables[ref] = frozenset(made)
        for gone in before - made.keys():
            del self.outcome.tables[gone]
        self.outcome.tables.update(made)
        return before | made.keys()

    def _reading(self, ref: Ref, *, needing: bool) -> RouteReading:
        """A route by itself, read once until something about it changes; `needing` grants for other namespaces or not."""
        key = (ref, needing)
        if key not in self._readings:
            grants = self._grants if needing else NEEDLESS
            route = self._objects.routes[ref]
            self._readings[key] = http_route(route, self._registry.services, grants)
        return self._readings[key]

    def _meaning(self, reading: RouteReading, ref: Ref) -> list[tuple[int, ParentReference]]:
        """Where among a route's parents an object stands."""
        namespace = reading.ref.namespace
        every = enumerate(reading.parents)
        return [(index, each) for index, each in every if meant(each, namespace) == ref]

    def _say(
        self, reading: RouteReading, index: int, parent: ParentReference, accepted: Condition
    ) -> None:
        """Notes what is said of a route at one of its parents."""
        conditions = (accepted, *reading.conditions[1:])
        status = ParentStatus(reading.generation, parent, conditions)
        self._said.setdefault(reading.ref, {})[index] = status

    def _unsay(self, child: Ref, ref: Ref) -> None:
        said = self._said.get(child, {})
        gone = [i for i, each in said.items() if meant(each.parent, child.namespace) == ref]
        for index in gone:
            del said[index]

    def _tell(self, ref: Ref) -> None:
        """Puts what was said of a route together, in the order of its parents."""
        if said := self._said.get(ref):
            self.outcome.route_statuses[ref] = tuple(said[index] for index in sorted(said))
        else:
            self.outcome.route_statuses.pop(ref, None)
