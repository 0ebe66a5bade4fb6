"""Everything that the mesh knows at one moment, and what changed since somebody last asked.

The one mutable part of the model: `ingest` writes it, `translate` reads it. Lookups cost what they touch, not what the
mesh holds.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from rollout.mesh.model.credential import Credential
from rollout.mesh.model.gateway import Gateway
from rollout.mesh.model.hosts import wildcards
from rollout.mesh.model.peers import MutualTLS, PeerPolicies, PeerPolicy
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import MESH, Caller, RouteTable
from rollout.mesh.model.service import DOMAIN, Endpoint, Service
from rollout.mesh.model.traffic import DestinationPolicy

Ports = dict[int, tuple[Endpoint, ...]]


@dataclass(slots=True)
class Dirty:
    """What changed: hosts whose services, endpoints, rules or routes did, and whether others of the mesh's things did.

    `connections` are hosts whose routes for connections did, `objects` the routing objects behind it all.
    """

    services: set[str] = field(default_factory=set)
    endpoints: set[str] = field(default_factory=set)
    policies: set[str] = field(default_factory=set)
    routes: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    gateways: bool = False
    credentials: bool = False
    peers: bool = False
    places: bool = False
    objects: set[Ref] = field(default_factory=set)

    def __bool__(self) -> bool:
        hosts = self.services or self.endpoints or self.policies or self.routes
        return bool(hosts or self.gateways or self.credentials or self.peers or self.places)


class Registry:
    """Services, endpoints, routes, rules and gateways, each by its identity.

    With `allow_any`, requests to hosts that it does not know go where they were sent.
    """

    def __init__(
        self,
        root_namespace: str = "istio-system",
        *,
        allow_any: bool = True,
        mutual_tls: MutualTLS = MutualTLS.NONE,
    ) -> None:
        self.root_namespace = root_namespace
        self.allow_any = allow_any
        self.mutual_tls = mutual_tls
        self.peers = PeerPolicies(root_namespace)
        self.accounts: dict[str, tuple[str, ...]] = {}
        self.services: dict[str, Service] = {}
        self.endpoints: dict[str, Ports] = {}
        self.tables: dict[Ref, RouteTable] = {}
        self.policies: dict[Ref, DestinationPolicy] = {}
        self.gateways: dict[Ref, Gateway] = {}
        self.credentials: dict[tuple[str, str], Credential] = {}
        self.credential_faults: dict[tuple[str, str], str] = {}
        self.credential_namespaces: frozenset[str] = frozenset()
        self.places: dict[str, str] = {}
        self._mesh: dict[str, list[RouteTable]] = {}
        self._gateway_tables: dict[str, list[RouteTable]] = {}
        self._leading_to: dict[str, set[Ref]] = {}
        self._policies: dict[tuple[str, str], list[DestinationPolicy]] = {}
        self._hashing = 0  # how many rules choose endpoints by a key
        self._by_port: dict[int, list[str]] = {}
        self._by_namespace: dict[str, list[str]] = {}
        self._opaque: list[str] = []
        self._callers: Counter[Caller] = Counter()
        self._dirty = Dirty()

    def drain(self) -> Dirty:
        """What changed since the last call."""
        found, self._dirty = self._dirty, Dirty()
        return found

    def set_service(self, host: str, service: Service | None) -> None:
        """Puts, replaces or (None) removes a service."""
        old = self.services.get(host)
        if old == service:
            return
        if old is not None:
            self._index_service(old, present=False)
            del self.services[host]
        if service is None:
            self.accounts.pop(host, None)
        if service is not None:
            self.services[host] = service
            self._index_service(service, present=True)
        self._dirty.services.add(host)
        # A route without a port means the only one that its destination has.
        for ref in self._leading_to.get(host, ()):
            self._touch(self.tables[ref])

    def set_endpoints(self, host: str, ports: Ports) -> None:
        """Puts the ready endpoints of a service, by its port numbers; empty removes them."""
        if self.endpoints.get(host, {}) == ports:
            return
        if ports:
            self.endpoints[host] = ports
        else:
            self.endpoints.pop(host, None)
        self._dirty.endpoints.add(host)
        every = (each for group in ports.values() for each in group if each.identity)
        accounts = tuple(sorted({each.identity for each in every}))
        # With nobody there, whoever was there stays the one to be expected.
        if accounts and accounts != self.accounts.get(host):
            self.accounts[host] = accounts
            self._dirty.policies.add(host)

    def set_peer_policy(self, ref: Ref, policy: PeerPolicy | None) -> bool:
        """Puts, replaces or removes what workloads take; whether that is news."""
        if self.peers.get(ref) == policy:
            return False
        self.peers.put(ref, policy)
        self._dirty.objects.add(ref)
        self._dirty.peers = True
        return True

    def set_table(self, ref: Ref, table: RouteTable | None) -> None:
        """Puts, replaces or removes a route table."""
        old = self.tables.get(ref)
        if old == table:
            return
        self._dirty.objects.add(ref)
        if old is not None:
            self._index_table(old, present=False)
            del self.tables[ref]
        if table is not None:
            self.tables[ref] = table
            self._index_table(table, present=True)

    def set_policy(self, ref: Ref, policy: DestinationPolicy | None) -> None:
        """Puts, replaces or removes a destination's rule."""
        old = self.policies.get(ref)
        if old == policy:
            return
        self._dirty.objects.add(ref)
        if old is not None:
            self._policies[old.ref.namespace, old.host].remove(old)
            del self.policies[ref]
            self._dirty.policies.add(old.host)
        if policy is not None:
            self.policies[ref] = policy
            found = self._policies.setdefault((ref.namespace, policy.host), [])
            insort(found, policy, key=lambda each: each.age)
            self._dirty.policies.add(policy.host)
        changed = [each for each in (old, policy) if each is not None]
        # A rule without a key matters too, where it takes the place of one with a key or gives it up.
        matters = self._hashing > 0 or any(each.hashes for each in changed)
        self._hashing += bool(policy and policy.hashes) - bool(old and old.hashes)
        for each in changed if matters else ():
            self._touch_routes_to(each.host)

    def set_gateway(self, ref: Ref, gateway: Gateway | None) -> None:
        """Puts, replaces or removes a gateway."""
        if self.gateways.get(ref) == gateway:
            return
        self._dirty.objects.add(ref)
        if gateway is None:
            self.gateways.pop(ref, None)
        else:
            self.gateways[ref] = gateway
        self._dirty.gateways = True

    def set_credential(self, namespace: str, name: str, found: Credential | str | None) -> None:
        """Puts a credential; where it cannot be used (the reason) or is gone (None), the last good one stays in force."""
        key = (namespace, name)
        before = (self.credentials.get(key), self.credential_faults.pop(key, None))
        if isinstance(found, Credential):
            self.credentials[key] = found
        elif found is not None:
            self.credential_faults[key] = found
        elif key in self.credentials:
            self.credential_faults[key] = "does not exist"
        if before != (self.credentials.get(key), self.credential_faults.get(key)):
            self._dirty.credentials = True

    def set_place(self, node: str, locality: str) -> bool:
        """Notes where a node is (`region/zone/subzone`, empty where unknown or gone); whether that is news."""
        if self.places.get(node, "") == locality:
            return False
        self.places[node] = locality
        self._dirty.places = True
        return True

    def canonical(self, host: str) -> str:
        """The fully qualified host behind `name.namespace` and `name.namespace.svc`; others stay as they are."""
        parts = host.split(".")
        if len(parts) == 2 or (len(parts) == 3 and parts[2] == "svc"):
            full = f"{parts[0]}.{parts[1]}.svc.{DOMAIN}"
            return full if full in self.services else host
        return host

    def callers(self) -> frozenset[Caller]:
        """What rules for sidecars, and whoever shows himself to some namespaces only, ask of callers."""
        return frozenset(self._callers)

    def hosts_on(self, port: int) -> list[str]:
        """Services with routed traffic on a port, sorted."""
        return self._by_port.get(port, [])

    def routed_ports(self) -> list[int]:
        """Ports with routed traffic, sorted."""
        return sorted(self._by_port)

    def opaque_services(self) -> list[Service]:
        """Services with ports whose connections are passed on without a look inside, the oldest first."""
        found = [self.services[host] for host in self._opaque]
        return sorted(found, key=lambda service: (service.created, service.host))

    def on_port_in(self, port: int, namespace: str) -> bool:
        """Whether a namespace has services with routed traffic on a port."""
        return any(
            port in self.services[host].routed_ports
            for host in self._by_namespace.get(namespace, ())
        )

    def services_in(self, namespace: str) -> Iterator[Service]:
        """Services of a namespace, the oldest first."""
        hosts = self._by_namespace.get(namespace, ())
        found = [self.services[host] for host in hosts]
        yield from sorted(found, key=lambda service: (service.created, service.name))

    def mesh_tables(self, host: str) -> list[RouteTable]:
        """The tables that sidecars could use for a host, the one in force first: exact before wildcard, then age."""
        found = sorted(self._named(host), key=lambda table: table.age)
        for pattern in wildcards(host):
            found += sorted(self._mesh.get(pattern, ()), key=lambda table: table.age)
        return found

    def mesh_hosts(self) -> list[str]:
        """Hosts that tables for sidecars name, sorted."""
        return sorted(self._mesh)

    def gateway_tables(self, gateway: str) -> list[RouteTable]:
        """The tables bound to a gateway (`namespace/name`), the oldest first."""
        return sorted(self._gateway_tables.get(gateway, ()), key=lambda table: table.age)

    def policy(self, namespace: str, host: str) -> DestinationPolicy | None:
        """The rule for requests from a namespace to a host: the client's own, the service's, the mesh's."""
        service = self.services.get(host)
        owners = [namespace, service.namespace if service else namespace, self.root_namespace]
        for owner in dict.fromkeys(owners):
            for pattern in (host, *wildcards(host)):
                known = self._policies.get((owner, pattern), ())
                seen = [each for each in known if not each.exported or namespace in each.exported]
                if seen:
                    return _merged(seen)
        return None

    def _named(self, host: str) -> Iterable[RouteTable]:
        found = list(self._mesh.get(host, ()))
        if (service := self.services.get(host)) is not None:
            for name in service.domains:
                found += self._mesh.get(name, ()) if name != host else ()
        return found

    def _index_service(self, service: Service, *, present: bool) -> None:
        places = [(self._by_port, port) for port in service.routed_ports]
        for index, key in places:
            _toggle(index.setdefault(key, []), service.host, present=present)
            if not index[key]:
                del index[key]
        if any(port.protocol.opaque for port in service.ports):
            _toggle(self._opaque, service.host, present=present)
        _toggle(self._by_namespace.setdefault(service.namespace, []), service.host, present=present)
        self._count(
            (frozenset({("", namespace)}) for namespace in service.exported), present=present
        )

    def _count(self, callers: Iterable[Caller], *, present: bool) -> None:
        for caller in callers:
            self._callers[caller] += 1 if present else -1
            if not self._callers[caller]:
                del self._callers[caller]

    def _index_table(self, table: RouteTable, *, present: bool) -> None:
        for gateway in table.gateways:
            if gateway != MESH:
                _toggle_table(self._gateway_tables, gateway, table, present=present)
                continue
            for host in table.hosts:
                _toggle_table(self._mesh, host, table, present=present)
        self._count(table.callers() if MESH in table.gateways else (), present=present)
        for host in table.destinations():
            refs = self._leading_to.setdefault(host, set())
            (refs.add if present else refs.discard)(table.ref)
        self._touch(table)

    def _touch_routes_to(self, host: str) -> None:
        """Routes name the key by which requests to the host stay with an endpoint."""
        self._dirty.routes.add(host)
        everything = host.startswith("*")
        for ref in self.tables if everything else self._leading_to.get(host, ()):
            self._touch(self.tables[ref])

    def _touch(self, table: RouteTable) -> None:
        if MESH in table.gateways:
            self._dirty.routes.update(table.hosts)
            if table.tcp or table.tls:
                self._dirty.connections.update(table.hosts)
        if set(table.gateways) - {MESH}:
            self._dirty.gateways = True


def _toggle(items: list[str], item: str, *, present: bool) -> None:
    if present:
        insort(items, item)
    else:
        items.remove(item)


def _toggle_table(
    index: dict[str, list[RouteTable]], key: str, table: RouteTable, *, present: bool
) -> None:
    items = index.setdefault(key, [])
    if present:
        items.append(table)
    else:
        items.remove(table)
    if not items:
        del index[key]


def _merged(policies: list[DestinationPolicy]) -> DestinationPolicy:
    """The oldest rule, with the subsets that younger ones of its namespace add."""
    first, *others = policies
    if not others:
        return first
    subsets = {subset.name: subset for policy in reversed(policies) for subset in policy.subsets}
    return replace(first, subsets=tuple(subsets[name] for name in sorted(subsets)))
