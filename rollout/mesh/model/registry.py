"""Everything that the mesh knows at one moment, and what changed since somebody last asked.

The one mutable part of the model: `ingest` writes it, `translate` reads it. Lookups cost what they touch, not what the
mesh holds.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator

from rollout.mesh.model.credential import Credential
from rollout.mesh.model.dirty import Dirty
from rollout.mesh.model.gateway import Gateway
from rollout.mesh.model.hosts import wildcards
from rollout.mesh.model.peers import MutualTLS, PeerPolicies, PeerPolicy
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.reach import Reach, SidecarScope, SidecarScopes
from rollout.mesh.model.routing import MESH, Caller, RouteTable
from rollout.mesh.model.rules import Rules
from rollout.mesh.model.service import DOMAIN, Endpoint, Service
from rollout.mesh.model.tables import Tables
from rollout.mesh.model.telemetry import MeshTelemetry, Telemetries, TelemetryPolicy
from rollout.mesh.model.traffic import DestinationPolicy

Ports = dict[int, tuple[Endpoint, ...]]


class Registry:
    """Services, endpoints, routes, rules and gateways, each by its identity.

    With `allow_any`, requests to hosts that it does not know go where they were sent; with `on_demand`, proxies that can
    ask for clusters are told them when they do.
    """

    def __init__(
        self,
        root_namespace: str = "istio-system",
        *,
        allow_any: bool = True,
        on_demand: bool = False,
        mutual_tls: MutualTLS = MutualTLS.NONE,
        telemetry: MeshTelemetry | None = None,
    ) -> None:
        self.root_namespace = root_namespace
        self.allow_any = allow_any
        self.on_demand = on_demand
        self.mutual_tls = mutual_tls
        self.peers = PeerPolicies(root_namespace)
        self.scopes = SidecarScopes(root_namespace)
        self.telemetry = Telemetries(root_namespace, telemetry)
        self.accounts: dict[str, tuple[str, ...]] = {}
        self.services: dict[str, Service] = {}
        self.endpoints: dict[str, Ports] = {}
        self.tables = Tables()
        self.policies = Rules()
        self.gateways: dict[Ref, Gateway] = {}
        self.credentials: dict[tuple[str, str], Credential] = {}
        self.credential_faults: dict[tuple[str, str], str] = {}
        self.credential_namespaces: frozenset[str] = frozenset()
        self.places: dict[str, str] = {}
        self._by_port: dict[int, list[str]] = {}
        self._by_namespace: dict[str, list[str]] = {}
        self._by_label: dict[tuple[str, tuple[str, str]], list[str]] = {}
        self._opaque: list[str] = []
        self._callers: Counter[Caller] = Counter()
        self._dirty = Dirty()

    @property
    def pending(self) -> Dirty:
        """What changed since the last `drain`."""
        return self._dirty

    def drain(self) -> Dirty:
        """What changed since the last call."""
        found, self._dirty = self._dirty, Dirty()
        return found

    def note(self, ref: Ref) -> None:
        """An object changed of which something else here is made."""
        self._dirty.objects.add(ref)

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
        for each in filter(None, (old, service)):
            self._dirty.namespaces.add(each.namespace)
            self._dirty.opaque |= any(port.protocol.opaque for port in each.ports)
        # A route without a port means the only one that its destination has.
        for table in self.tables.leading_to(host):
            self._touch(table)

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

    def set_scope(self, ref: Ref, scope: SidecarScope | None) -> None:
        """Puts, replaces or removes what workloads are told of the mesh."""
        if self.scopes.get(ref) == scope:
            return
        self.scopes.put(ref, scope)
        self._dirty.objects.add(ref)
        self._dirty.scopes = True

    def set_telemetry(self, ref: Ref, policy: TelemetryPolicy | None) -> None:
        """Puts, replaces or removes what workloads tell."""
        if self.telemetry.get(ref) != policy:
            self.telemetry.put(ref, policy)
            self._dirty.objects.add(ref)
            self._dirty.telemetry = True

    def set_table(self, ref: Ref, table: RouteTable | None) -> None:
        """Puts, replaces or removes a route table."""
        old = self.tables.get(ref)
        if old == table:
            return
        self._dirty.objects.add(ref)
        self.tables.put(ref, table)
        for each, present in ((old, False), (table, True)):
            if each is not None:
                asked = each.callers() if MESH in each.gateways else ()
                self._count(asked, present=present)
                self._dirty.destinations |= each.destinations()
                self._touch(each)

    def set_policy(self, ref: Ref, policy: DestinationPolicy | None) -> None:
        """Puts, replaces or removes a destination's rule."""
        old = self.policies.get(ref)
        if old == policy:
            return
        self._dirty.objects.add(ref)
        changed = [each for each in (old, policy) if each is not None]
        # A rule without a key matters too, where it takes the place of one with a key or gives it up.
        matters = self.policies.hashing > 0 or any(each.hashes for each in changed)
        lasts = self.policies.lasting > 0 or any(each.lasts for each in changed)
        compared = set(self.policies.compared)
        self.policies.put(ref, policy)
        # Proxies count as alike unless a label tells them apart that somebody looks at.
        self._dirty.places |= compared != self.policies.compared.keys()
        for each in changed:
            self._dirty.policies.add(each.host)
            if lasts:
                self._dirty.connections.add(each.host)
            if matters:
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

    def reads_credentials(self, namespace: str) -> bool:
        """Whether a namespace's credentials are looked for at all; `*` among them stands for every namespace."""
        return not self.credential_namespaces.isdisjoint({namespace, "*"})

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

    def imports(self, reach: Reach, table: RouteTable) -> bool:
        """Whether a table is told to proxies of that reach: of its hosts, one is theirs."""
        return reach.unlimited or any(
            reach.takes(table.ref.namespace, self.canonical(host)) for host in table.hosts
        )

    def reaches(self, reach: Reach, service: Service) -> bool:
        """Whether proxies of that reach know a service: itself, or as where a route of theirs leads."""
        return reach.takes(service.namespace, service.host) or any(
            self.imports(reach, table)
            for table in self.tables.leading_to(service.host)
            if MESH in table.gateways
        )

    def on_port_in(self, port: int, namespace: str) -> bool:
        """Whether a namespace has services with routed traffic on a port."""
        return any(
            port in self.services[host].routed_ports
            for host in self._by_namespace.get(namespace, ())
        )

    def selecting(self, namespace: str, labels: frozenset[tuple[str, str]]) -> Iterator[Service]:
        """Services of a namespace that pods with these labels are behind, the oldest first."""
        hosts = (host for label in labels for host in self._by_label.get((namespace, label), ()))
        found = [self.services[host] for host in hosts]
        for service in sorted(found, key=lambda service: (service.created, service.name)):
            if service.selects(labels):
                yield service

    def mesh_tables(self, host: str) -> list[RouteTable]:
        """The tables that sidecars could use for a host, the one in force first: exact before wildcard, then age."""
        found = sorted(self._named(host), key=lambda table: table.age)
        for pattern in wildcards(host):
            found += sorted(self.tables.for_host(pattern), key=lambda table: table.age)
        return found

    def policy(self, namespace: str, host: str) -> DestinationPolicy | None:
        """The rule for requests from a namespace to a host: the client's own, the service's, the mesh's."""
        service = self.services.get(host)
        owners = [namespace, service.namespace if service else namespace, self.root_namespace]
        return self.policies.applying(host, namespace, owners)

    def _named(self, host: str) -> Iterable[RouteTable]:
        found = list(self.tables.for_host(host))
        if (service := self.services.get(host)) is not None:
            for name in service.domains:
                found += self.tables.for_host(name) if name != host else ()
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
        if service.selector:
            label = (service.namespace, min(service.selector))
            _toggle(self._by_label.setdefault(label, []), service.host, present=present)
            if not self._by_label[label]:
                del self._by_label[label]
        self._count(
            (frozenset({("", namespace)}) for namespace in service.exported), present=present
        )

    def _count(self, callers: Iterable[Caller], *, present: bool) -> None:
        for caller in callers:
            self._callers[caller] += 1 if present else -1
            if not self._callers[caller]:
                del self._callers[caller]

    def _touch_routes_to(self, host: str) -> None:
        """Routes name the key by which requests to the host stay with an endpoint."""
        self._dirty.routes.add(host)
        everything = host.startswith("*")
        brought = (gateway.destinations() for gateway in self.gateways.values())
        if any(everything or host in hosts for hosts in brought):
            self._dirty.gateways = True
        for table in self.tables.values() if everything else self.tables.leading_to(host):
            self._touch(table)

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
