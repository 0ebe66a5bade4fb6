"""What each proxy is to have: resources by type and name, kept up to date change by change.

A view belongs to a `Proxy` value, so the pods of a workload share one; what views of a namespace have in common is
made once in a `Scope`. Knows nothing of connections or of what a proxy already has.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping

from rollout.mesh.model.dirty import Dirty
from rollout.mesh.model.fault import LeasedFault
from rollout.mesh.model.peers import MutualTLS, PeerModes
from rollout.mesh.model.problem import Problem
from rollout.mesh.model.proxy import Proxy, ProxyType
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.telemetry import Mode, Reporter
from rollout.mesh.translate import clusters, gateways, leasedfaults, listeners, names
from rollout.mesh.translate.crossing import Admitted, Crossing
from rollout.mesh.translate.gatewaylisteners import PortListener
from rollout.mesh.translate.gatewayroutes import port_routes
from rollout.mesh.translate.outbound import outbound_listeners
from rollout.mesh.translate.porthosts import HostsOfPorts
from rollout.mesh.translate.resource import Resource, replace
from rollout.mesh.translate.routes import empty_configuration
from rollout.mesh.translate.scope import Changed, Place, Scope, place_of
from rollout.mesh.translate.shared import Shared
from rollout.mesh.translate.tracing import reachable


class View:
    """All resources of one kind of proxy."""

    def __init__(self, proxy: Proxy, scope: Scope, shared: Shared) -> None:
        self.proxy = proxy
        self._scope, self._shared = scope, shared
        own = {resource.name: resource for resource in self._fixed_clusters()}
        self._clusters = scope.clusters | own
        router = proxy.type is ProxyType.ROUTER
        self._endpoints = dict(scope.endpoints) if router else scope.endpoints
        self._crossing = Crossing(
            shared.registry, proxy.namespace, scope.standpoint, self._clusters, self._endpoints
        )
        self._listeners: dict[str, Resource] = {}
        self._routes: dict[str, Resource] = {}
        self._hosts = HostsOfPorts()
        self._secrets: dict[str, Resource] = {}
        self._faults: dict[str, Resource] = {}
        self.carried: dict[str, str] = {}
        self.crowded_out: tuple[LeasedFault, ...] = ()
        self.problems: tuple[Problem, ...] = ()
        self._listened: tuple[tuple[int, ...], Reporter] | None = None
        self._inbound: tuple[tuple[Reporter, PeerModes | None], Resource] | None = None
        self.update_listeners()
        self.update_routes(None)

    @property
    def resources(self) -> Mapping[str, Mapping[str, Resource]]:
        """By type and name."""
        return {
            names.CLUSTER: self._clusters,
            names.ENDPOINTS: self._endpoints,
            names.LISTENER: self._listeners,
            names.ROUTES: self._routes,
            names.VIRTUAL_HOST: self._hosts.resources,
            names.SECRET: self._secrets,
            names.EXTENSION: self._faults,
        }

    @property
    def lazy(self) -> Container[str]:
        """Clusters that are told when the proxy asks for them."""
        return self._scope.lazy

    def take_over(self, changed: Changed, hosts: Iterable[str]) -> Changed:
        """Takes over what changed in the scope, of these hosts; answers what changed here besides."""
        _copy(changed[names.CLUSTER], self._scope.clusters, self._clusters)
        if self.proxy.type is ProxyType.SIDECAR:
            return {}
        _copy(changed[names.ENDPOINTS], self._scope.endpoints, self._endpoints)
        return self._crossing.update(hosts)

    def update_listeners(self) -> Changed:
        """Makes the listeners, and what they name of their own, again; answers what differs."""
        found: Changed = {}
        if self.proxy.type is ProxyType.SIDECAR:
            made, secrets = self._sidecar_listeners(), list[Resource]()
        else:
            found = self._crossing.admit(self._admitted())
            made, secrets = self._router_listeners()
        return found | {
            names.LISTENER: replace(self._listeners, tuple(self._listeners), made),
            names.SECRET: replace(self._secrets, tuple(self._secrets), secrets),
        }

    def _admitted(self) -> Admitted:
        """What connections may ask for by the names of the mesh's clusters."""
        if self._shared.registry.mutual_tls is MutualTLS.NONE:
            return frozenset()
        servers = (each for port in self._bound_ports()[0] for each in port.servers)
        return frozenset[tuple[str, str]]().union(*(s.admitted for s in servers if s.crosses))

    def outdated(self) -> bool:
        """Whether services came or went so that a sidecar needs other listeners, those for opaque connections apart."""
        ports = tuple(self._shared.routed_ports(self.proxy.reach))
        return self._listened != (ports, self._reporter())

    def update_routes(self, ports: set[int] | None, hosts: Iterable[str] = ()) -> Changed:
        """Makes the routes of these ports (None: all) again, where these hosts changed; answers what differs."""
        if self.proxy.type is ProxyType.ROUTER:
            found = replace(self._routes, tuple(self._routes), self._router_routes())
            return {names.ROUTES: found}
        known = self._shared.routed_ports(self.proxy.reach)
        wanted = [port for port in known if ports is None or port in ports]
        old = tuple(self._routes) if ports is None else tuple(map(str, sorted(ports)))
        callers = self._shared.callers(self.proxy.caller)
        namespace, reach = self.proxy.namespace, self.proxy.reach
        routes = {port: self._shared.routes(port, namespace, callers, reach) for port in wanted}
        if not self.proxy.takes_hosts:
            made = [each.resource() for each in routes.values()]
            return {names.ROUTES: replace(self._routes, old, made)}
        single = self._hosts.update(ports, routes, hosts)
        made = [empty_configuration(str(port)) for port in wanted if str(port) not in self._routes]
        made += [self._routes[str(port)] for port in wanted if str(port) in self._routes]
        return {names.ROUTES: replace(self._routes, old, made), names.VIRTUAL_HOST: single}

    def update_faults(self, faults: Collection[LeasedFault]) -> set[str]:
        """Fills the slots again; answers those that differ. `carried` tells which slot has which run's fault."""
        active = {fault.run for fault in faults}
        held = {run: slot for run, slot in self.carried.items() if run in active}
        filled, left = leasedfaults.filled_slots(faults, self.proxy, held)
        self.carried = {fault.run: resource.name for fault, resource in filled}
        self.crowded_out = tuple(left)
        made = [resource for _, resource in filled]
        return replace(self._faults, tuple(self._faults), made)

    def _fixed_clusters(self) -> list[Resource]:
        if self.proxy.type is ProxyType.ROUTER:
            return clusters.router_clusters()
        return clusters.sidecar_clusters() + [
            clusters.inbound_cluster(port, self.proxy.namespace)
            for port in listeners.distinct_ports(self.proxy.inbound)
        ]

    def _sidecar_listeners(self) -> list[Resource]:
        reporter, modes, reach = self._reporter(), self._modes(), self.proxy.reach
        self._listened = (tuple(self._shared.routed_ports(reach)), reporter)
        if self._inbound is None or self._inbound[0] != (reporter, modes):
            made = listeners.virtual_inbound(self.proxy, reporter, modes)
            self._inbound = ((reporter, modes), made)
        return [
            self._shared.listener_out(reporter, reach),
            self._inbound[1],
            *outbound_listeners(self._shared, self.proxy, reporter),
        ]

    def _reporter(self) -> Reporter:
        proxy, known = self.proxy, self._shared.registry.telemetry
        client, server = (
            reachable(known.reporting(proxy.namespace, proxy.labels, mode), self._clusters)
            for mode in (Mode.CLIENT, Mode.SERVER)
        )
        return Reporter(workload=proxy.workload, client=client, server=server)

    def _modes(self) -> PeerModes | None:
        registry, proxy = self._shared.registry, self.proxy
        if registry.mutual_tls is MutualTLS.NONE:
            return None
        return registry.peers.modes(proxy.namespace, proxy.labels)

    def _bound_ports(self) -> tuple[list[gateways.BoundPort], list[Problem]]:
        chosen = gateways.selected(self._shared.registry.gateways.values(), self.proxy)
        return gateways.bound_ports(chosen, self.proxy)

    def _router_listeners(self) -> tuple[list[Resource], list[Resource]]:
        ports, problems = self._bound_ports()
        made: list[Resource] = []
        secrets, faults = self._scope.keys()
        problems += faults
        registry, reporter = self._shared.registry, self._reporter()
        for port in ports:
            targets = self._shared.cluster_of(port.service_port)
            found = PortListener(port, self.proxy, registry, targets, reporter).make()
            made += [found.listener] if found.listener is not None else []
            secrets += found.secrets
            problems += found.problems
        self.problems = tuple(problems)
        return made, secrets

    def _router_routes(self) -> list[Resource]:
        shared, caller = self._shared, self.proxy.caller
        return [
            resource
            for port in self._bound_ports()[0]
            for resource in port_routes(
                port,
                shared.registry,
                shared.cluster_of(port.service_port),
                caller,
                shared.attached_host,
            )
        ]


def _copy(
    changed: Iterable[str], source: Mapping[str, Resource], known: dict[str, Resource]
) -> None:
    for name in changed:
        if (resource := source.get(name)) is not None:
            known[name] = resource
        else:
            known.pop(name, None)


def _add(changed: Changed, more: Changed) -> None:
    for kind, each in more.items():
        changed.setdefault(kind, set()).update(each)


class Views:
    """The views of all connected proxies."""

    def __init__(self, registry: Registry) -> None:
        self._shared = Shared(registry)
        self._registry = registry
        self._scopes: dict[Place, Scope] = {}
        self._views: dict[Proxy, View] = {}
        self._faults: tuple[LeasedFault, ...] = ()

    def view(self, proxy: Proxy) -> View:
        """The view of a proxy, made when first asked for. Changes pending in the registry must have been taken up."""
        if proxy not in self._views:
            place = place_of(proxy)
            scope = self._scopes.get(place)
            if scope is None:
                scope = self._scopes[place] = Scope(place, self._shared)
            self._views[proxy] = view = View(proxy, scope, self._shared)
            view.update_faults(self._faults)
        return self._views[proxy]

    def retain(self, proxies: set[Proxy]) -> None:
        """Drops the views that no proxy has any more."""
        self._views = {proxy: view for proxy, view in self._views.items() if proxy in proxies}
        places = set(map(place_of, self._views))
        self._scopes = {place: s for place, s in self._scopes.items() if place in places}
        self._shared.retain({place.reach for place in places})

    def inject(self, faults: tuple[LeasedFault, ...]) -> dict[Proxy, Changed]:
        """These faults and no others are in force; answers, for each view that it concerns, the slots that changed."""
        self._faults = faults
        changed = {proxy: view.update_faults(faults) for proxy, view in self._views.items()}
        return {proxy: {names.EXTENSION: slots} for proxy, slots in changed.items() if slots}

    def crowded_out(self) -> set[LeasedFault]:
        """Faults for which some proxy has no slot left."""
        return {fault for view in self._views.values() for fault in view.crowded_out}

    def problems(self) -> set[Problem]:
        """What of the mesh's objects could not be given to the proxies that they are for."""
        return {problem for view in self._views.values() for problem in view.problems}

    def refresh(self, dirty: Dirty) -> dict[Proxy, Changed]:
        """Takes up what changed; answers, for each view that it concerns, the names that changed."""
        hosts, ports, routed = self._shared.forget(dirty)
        scopes = {
            place: scope.refresh(hosts, dirty.destinations) for place, scope in self._scopes.items()
        }
        found: dict[Proxy, Changed] = {}
        for proxy, view in self._views.items():
            scope = scopes[place_of(proxy)]
            changed = {kind: set(each) for kind, each in scope.items()}
            _add(changed, view.take_over(changed, hosts))
            router = proxy.type is ProxyType.ROUTER
            edge = bool(dirty.services or dirty.gateways or dirty.credentials or dirty.policies)
            inside = bool(dirty.opaque or dirty.connections or dirty.peers)
            touched = edge if router else inside or (bool(dirty.services) and view.outdated())
            if touched or dirty.telemetry:
                _add(changed, view.update_listeners())
            if ports or (router and dirty.gateways):
                _add(changed, view.update_routes(ports, routed))
            changed = {kind: each for kind, each in changed.items() if each}
            if changed:
                found[proxy] = changed
        return found
