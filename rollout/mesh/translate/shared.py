"""Bytes that many proxies have in common, made when first asked for and kept until what they depend on changes.

Keyed by what they are made of: a service, the rule that applies, a port. Knows nothing of single proxies.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable

from rollout.mesh.model.dirty import Dirty
from rollout.mesh.model.gateway import HostRoutes
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.reach import Reach
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import Caller
from rollout.mesh.model.service import Service
from rollout.mesh.model.telemetry import Mode, Reporter
from rollout.mesh.model.traffic import DestinationPolicy
from rollout.mesh.translate import clusters, endpoints, listeners, names, sidecars
from rollout.mesh.translate.attachedhosts import AttachedHosts
from rollout.mesh.translate.connection import Teller
from rollout.mesh.translate.localities import NOWHERE, Standpoint
from rollout.mesh.translate.opaque import Chain
from rollout.mesh.translate.portroutes import PortRoutes
from rollout.mesh.translate.resource import Resource
from rollout.mesh.translate.routes import allow_any, block_all, framed
from rollout.mesh.translate.targets import Targets

Callers = frozenset[Caller]
ByPolicy = dict[DestinationPolicy | None, list[Resource]]
ByPolicyAndPlace = dict[tuple[DestinationPolicy | None, Standpoint], list[Resource]]
_HostKey = tuple[int, Callers, Ref | None]
_RoutesKey = tuple[int, str, Callers, Reach]
_MOST_LISTENERS = 20_000


class Shared:
    """The cache of one registry's bytes."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._clusters: dict[str, ByPolicy] = {}
        self._endpoints: dict[str, ByPolicyAndPlace] = {}
        self._hosts: dict[str, dict[_HostKey, sidecars.SharedHost]] = {}
        self._routes: dict[_RoutesKey, PortRoutes] = {}
        self._stale: dict[_RoutesKey, set[str]] = {}
        self._rest_stale: set[_RoutesKey] = set()
        self._others: dict[tuple[int, Callers, Reach], list[tuple[str, bytes]]] = {}
        self._hosts_on: dict[tuple[int, Reach], list[str]] = {}
        self._asked: Callers = frozenset()
        self._listeners: dict[Hashable, Resource] = {}
        self._attached = AttachedHosts()

    def forget(self, dirty: Dirty) -> tuple[set[str], set[int], set[str]]:
        """Drops what changed; answers the hosts whose clusters, and the ports and hosts whose routes, are to be made again."""
        hosts = self._affected(dirty.services | dirty.endpoints | dirty.policies)
        for host in hosts:
            if host in dirty.services or dirty.policies:
                self._clusters.pop(host, None)
            self._endpoints.pop(host, None)
        if ruled := self._affected(dirty.services | dirty.policies):
            self._attached.forget(ruled)
        routed = self._affected(dirty.services | dirty.routes)
        return hosts, self._forget_routes(routed), routed

    def _forget_routes(self, hosts: set[str]) -> set[int]:
        """One virtual host each; what ports have besides, where hosts without a service may have come or gone."""
        ports: set[int] = set()
        renewed: set[int] = set()
        for host in hosts:
            found = {port for port, *_ in self._hosts.pop(host, ())}
            if (service := self.registry.services.get(host)) is not None:
                found.update(port.number for port in service.ports if port.protocol.routed)
            else:
                found.add(80)
            ports |= found
            if service is None or self._also_routed(service):
                renewed |= found
            for key, stale in self._stale.items():
                if key[0] in found:
                    stale.add(host)
            for (port, reach), known in self._hosts_on.items():
                if port in found:
                    _toggle(known, host, present=self._told(host, port, reach))
        self._others = {key: kept for key, kept in self._others.items() if key[0] not in renewed}
        self._rest_stale |= {key for key in self._routes if key[0] in renewed}
        # Where rules ask other things of callers than before, there are other kinds of callers.
        anew = self._asked != self.registry.callers()
        self._asked = self.registry.callers()
        for key in list(self._routes) if anew else ():
            self._drop(key)
        return ports

    def _also_routed(self, service: Service) -> bool:
        """Whether a table's host may be one of its names: what has a service needs no virtual host of its own."""
        tables, called = self.registry.tables, {service.host, *service.domains}
        return tables.by_address > 0 or any(map(tables.for_host, called))

    def _drop(self, key: _RoutesKey) -> None:
        del self._routes[key], self._stale[key]
        self._rest_stale.discard(key)

    def _affected(self, hosts: Iterable[str]) -> set[str]:
        # A short name may have been a host by itself, before there was a Service of that name.
        found = {name for host in hosts for name in (host, self.registry.canonical(host))}
        if any(host.startswith("*") for host in found):
            found.update(self.registry.services, self._hosts, self._clusters)
        return found

    def retain(self, reaches: set[Reach]) -> None:
        """Drops what was made for proxies that are told other parts of the mesh than these."""
        for key in [key for key in self._routes if key[-1] not in reaches]:
            self._drop(key)
        self._others = {key: kept for key, kept in self._others.items() if key[-1] in reaches}
        self._hosts_on = {key: kept for key, kept in self._hosts_on.items() if key[-1] in reaches}

    def hosts_on(self, port: int, reach: Reach) -> list[str]:
        """Services with routed traffic on a port that proxies of that reach are told of, sorted."""
        every = self.registry.hosts_on(port)
        if reach.unlimited:
            return every
        key = (port, reach)
        if key not in self._hosts_on:
            self._hosts_on[key] = [host for host in every if self._told(host, port, reach)]
        return self._hosts_on[key]

    def _told(self, host: str, port: int, reach: Reach) -> bool:
        service = self.registry.services.get(host)
        return (
            service is not None
            and port in service.routed_ports
            and reach.takes(service.namespace, host, port)
        )

    def routed_ports(self, reach: Reach) -> list[int]:
        """Ports with such services, sorted, without those that a proxy has for itself."""
        every = [each for each in self.registry.routed_ports() if each not in names.RESERVED_PORTS]
        return every if reach.unlimited else [port for port in every if self.hosts_on(port, reach)]

    def clusters(self, service: Service, policy: DestinationPolicy | None) -> list[Resource]:
        """A service's clusters under a rule."""
        known = self._clusters.setdefault(service.host, {})
        if policy not in known:
            registry = self.registry
            accounts = registry.accounts.get(service.host, ())
            known[policy] = clusters.service_clusters(
                service, policy, registry.mutual_tls, accounts
            )
        return known[policy]

    def endpoints(
        self, service: Service, policy: DestinationPolicy | None, caller: Standpoint
    ) -> list[Resource]:
        """The endpoints of those clusters, as a caller sees them where a rule makes a difference."""
        known = self._endpoints.setdefault(service.host, {})
        key = (policy, caller if policy is not None else NOWHERE)
        if key not in known:
            ports = self.registry.endpoints.get(service.host, {})
            known[key] = endpoints.service_endpoints(service, ports, policy, key[1])
        return known[key]

    def callers(self, caller: Caller) -> Callers:
        """Which of the conditions that rules make hold for a caller; mostly there are none."""
        return frozenset(each for each in self.registry.callers() if each <= caller)

    def routes(self, port: int, namespace: str, callers: Callers, reach: Reach) -> PortRoutes:
        """The sidecars' routes of a port, as seen from a namespace by callers of whom these conditions hold."""
        home = namespace if self.registry.on_port_in(port, namespace) else ""
        key = (port, home, callers, reach)
        if key not in self._routes:
            hosts = [host for host in self.hosts_on(port, reach) if self._shown(host, callers)]
            pieces = [(host, self._piece(host, *key)) for host in hosts]
            self._routes[key] = PortRoutes(port, pieces, self._rest(port, callers, reach))
            self._stale[key] = set()
        found, stale = self._routes[key], self._stale[key]
        while stale:
            host = stale.pop()
            told = self._told(host, port, reach) and self._shown(host, callers)
            found.put(host, self._piece(host, *key) if told else None)
        if key in self._rest_stale:
            self._rest_stale.discard(key)
            found.put_rest(self._rest(port, callers, reach))
        return found

    def _shown(self, host: str, callers: Callers) -> bool:
        exported = self.registry.services[host].exported
        return not exported or any(frozenset({("", each)}) in callers for each in exported)

    def _piece(self, host: str, port: int, home: str, callers: Callers, reach: Reach) -> bytes:
        service = self.registry.services[host]
        shared = self._host(service, port, callers, reach)
        return shared.at_home if service.namespace == home else shared.everywhere

    def _rest(self, port: int, callers: Callers, reach: Reach) -> list[tuple[str, bytes]]:
        """Virtual hosts of no service, and the one for all others, by their names."""
        key = (port, callers, reach)
        if key not in self._others:
            targets = self.cluster_of(port)
            others = sidecars.other_hosts(self.registry, port, targets, callers, reach)
            last = allow_any() if reach.allow_any else block_all()
            self._others[key] = [(name, framed(host)) for name, host in (*others, ("*", last))]
        return self._others[key]

    def _host(
        self, service: Service, port: int, callers: Callers, reach: Reach
    ) -> sidecars.SharedHost:
        known = self._hosts.setdefault(service.host, {})
        tables = sidecars.told(self.registry, service.host, reach)
        table = sidecars.first_seen(tables, callers, port)
        # A table that others do not see tells callers apart as well.
        asked = frozenset().union(*(each.callers() for each in tables)) if callers else frozenset()
        own = callers & asked
        key = (port, own, table.ref if table else None)
        if key not in known:
            cluster_of = self.cluster_of(port)
            known[key] = sidecars.service_host(service, port, table, cluster_of, own)
        return known[key]

    def listener_any(
        self, port: int, reporter: Reporter, chains: tuple[Chain, ...], reach: Reach
    ) -> Resource:
        """A workload's listener for a port, whatever the address."""
        http = bool(self.hosts_on(port, reach))
        return self._listener(
            (port, reporter, chains, http, reach.allow_any, reach.on_demand),
            lambda: listeners.outbound_any(port, self.client(reporter), chains, reach, http=http),
        )

    def listener_to(
        self, address: str, port: int, reporter: Reporter, chains: tuple[Chain, ...]
    ) -> Resource:
        """The listener for a port of an address."""
        return self._listener(
            (address, port, reporter, chains),
            lambda: listeners.outbound_to(address, port, self.client(reporter), chains),
        )

    def listener_out(self, reporter: Reporter, reach: Reach) -> Resource:
        """A workload's listener for what no other is for."""
        return self._listener(
            (reporter, reach.allow_any),
            lambda: listeners.virtual_outbound(self.client(reporter), allow_any=reach.allow_any),
        )

    def client(self, reporter: Reporter) -> Teller:
        """Who tells of what a workload sends."""
        return Teller(reporter, Mode.CLIENT, self.registry.mutual_tls is not MutualTLS.NONE)

    def _listener(self, key: Hashable, make: Callable[[], Resource]) -> Resource:
        """Listeners are kept by what they are made of, so that nothing has to be forgotten but for its number."""
        if key not in self._listeners:
            if len(self._listeners) >= _MOST_LISTENERS:
                self._listeners.clear()
            self._listeners[key] = make()
        return self._listeners[key]

    def attached_host(self, host: HostRoutes, port: int) -> bytes:
        """The framed virtual host of routes that a gateway brings with it, for a port of its Service."""
        return self._attached.get(host, port, self.cluster_of(port))

    def cluster_of(self, port: int) -> Targets:
        """What destinations of routes on a port are to Envoy."""
        return Targets(self.registry, port)


def _toggle(items: list[str], item: str, *, present: bool) -> None:
    """Puts an item among sorted ones, or removes it, where it is not so already."""
    at = bisect_left(items, item)
    there = at < len(items) and items[at] == item
    if present and not there:
        items.insert(at, item)
    elif there and not present:
        del items[at]
