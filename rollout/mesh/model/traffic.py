"""What holds for requests to a host: which endpoint is chosen, how many there may be at once, and which are left out.

What a DestinationRule says, without its spelling. Durations are seconds, `None` where nothing was said: then Envoy's
own default or Istio's holds, which `translate` knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from rollout.mesh.model.balancing import LoadBalancer
from rollout.mesh.model.problem import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """Probes of an idle connection."""

    probes: int | None = None
    time: int | None = None
    interval: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPool:
    """Limits of connections and requests; unlimited where nothing was said.

    `idle_timeout` is for connections that requests are sent on, `connection_idle` for those whose bytes are passed on.
    """

    connections: int | None = None
    pending: int | None = None
    requests: int | None = None
    retries: int | None = None
    requests_per_connection: int | None = None
    streams: int | None = None
    connect_timeout: float | None = None
    idle_timeout: float | None = None
    connection_idle: float | None = None
    duration: float | None = None
    keepalive: Keepalive | None = None
    upgrade: bool = False
    client_protocol: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    """Endpoints that fail are left out: after so many failures in a row, for so long, at most so many percent."""

    server_errors: int | None = None
    gateway_errors: int | None = None
    local_errors: int | None = None
    split: bool = False
    interval: float | None = None
    ejection: float | None = None
    most: int | None = None
    least_healthy: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Retries as a percentage of the requests under way, and how many are always allowed."""

    percent: float = 20.0
    least: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """What holds for connections whose bytes are passed on: how long they may be idle (0: for ever) and last.

    `by_source`: those of one caller's address stay with one endpoint.
    """

    idle: float | None = None
    longest: float | None = None
    by_source: bool = False


AS_USUAL = Lasting()


class ClientTLSMode(Enum):
    """What a client speaks; MESH is mutual TLS with the mesh's own certificates."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    MESH = "ISTIO_MUTUAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLS:
    """TLS towards an endpoint; files are the proxy's own, `names` what the server's certificate must carry one of."""

    mode: ClientTLSMode
    sni: str = ""
    names: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    authorities: str = ""
    credential: str = ""
    revoked: str = ""
    unverified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy:
    """How the endpoints behind one cluster are treated.

    `announced`: connections begin with the caller's address in this version of the PROXY protocol, 0: they don't.
    """

    balancer: LoadBalancer | None = None
    pool: ConnectionPool | None = None
    outlier: OutlierDetection | None = None
    budget: RetryBudget | None = None
    tls: ClientTLS | None = None
    announced: int = 0

    @property
    def lasting(self) -> Lasting:
        """What it says of connections whose bytes are passed on."""
        chosen = self.balancer.consistent_hash if self.balancer else None
        return Lasting(
            idle=self.pool.connection_idle if self.pool else None,
            longest=self.pool.duration if self.pool else None,
            by_source=chosen is not None and chosen.key.source_ip,
        )

    def under(self, other: TrafficPolicy) -> TrafficPolicy:
        """This one where the other says nothing."""
        return TrafficPolicy(
            balancer=other.balancer or self.balancer,
            pool=other.pool or self.pool,
            outlier=other.outlier or self.outlier,
            budget=other.budget or self.budget,
            tls=other.tls or self.tls,
            announced=other.announced or self.announced,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PortedPolicy:
    """A policy with others for single ports, which take nothing over from it but what they cannot say, as Istio's."""

    common: TrafficPolicy = TrafficPolicy()
    ports: tuple[tuple[int, TrafficPolicy], ...] = ()

    def single(self, port: int) -> TrafficPolicy | None:
        """What a port has of its own."""
        return dict(self.ports).get(port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The endpoints of a host with all of these labels."""

    name: str
    labels: frozenset[tuple[str, str]]
    traffic: PortedPolicy = PortedPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationPolicy:
    """A DestinationRule: what holds for requests to a host, in the namespaces that it is `exported` to (none: all)."""

    ref: Ref
    created: str
    host: str
    traffic: PortedPolicy = PortedPolicy()
    subsets: tuple[Subset, ...] = ()
    exported: frozenset[str] = frozenset()

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first."""
        return (self.created, self.ref.namespace, self.ref.name)

    def subset(self, name: str) -> Subset | None:
        """The subset of that name."""
        return next((subset for subset in self.subsets if subset.name == name), None)

    def on(self, port: int, subset: str = "") -> TrafficPolicy:
        """What holds on a port, for a subset: its own over the host's, a port's own over both."""
        found = self.traffic.single(port)
        if found is None:
            found = self.traffic.common
        else:
            common = self.traffic.common
            found = replace(found, budget=common.budget, announced=common.announced)
        part = self.subset(subset) if subset else None
        if part is None:
            return found
        if (single := part.traffic.single(port)) is not None:
            own = part.traffic.common
            return replace(
                single,
                budget=own.budget or found.budget,
                announced=own.announced or found.announced,
            )
        return found.under(part.traffic.common)

    def credentials(self) -> frozenset[ClientTLS]:
        """TLS whose keys are in Secrets, which gateways alone are given."""
        found = (policy.tls for policy in self._policies())
        return frozenset(tls for tls in found if tls is not None and tls.credential)

    def without_credentials(self) -> DestinationPolicy:
        """The same for sidecars, whose keys are their own: such TLS is none of theirs, as in Istio."""
        if not self.credentials():
            return self
        subsets = (replace(each, traffic=_plain(each.traffic)) for each in self.subsets)
        return replace(self, traffic=_plain(self.traffic), subsets=tuple(subsets))

    @property
    def hashes(self) -> bool:
        """Whether routes to the host have to name a key."""
        return any(
            policy.balancer is not None and policy.balancer.consistent_hash is not None
            for policy in self._policies()
        )

    @property
    def hashes_requests(self) -> bool:
        """Whether something of a request is a key."""
        chosen = (policy.balancer.consistent_hash for policy in self._policies() if policy.balancer)
        return any(each is not None and not each.key.source_ip for each in chosen)

    @property
    def prefers(self) -> bool:
        """Whether labels make endpoints near or far."""
        balancers = (policy.balancer for policy in self._policies())
        return any(each is not None and each.locality.priority for each in balancers)

    @property
    def lasts(self) -> bool:
        """Whether it says anything of connections whose bytes are passed on."""
        return any(policy.lasting != AS_USUAL for policy in self._policies())

    @property
    def compared(self) -> frozenset[str]:
        """Labels of callers that make endpoints near or far."""
        balancers = (policy.balancer for policy in self._policies())
        found = (pair for each in balancers if each is not None for pair in each.locality.priority)
        return frozenset(label for label, value in found if value is None)

    def _policies(self) -> Iterator[TrafficPolicy]:
        for ported in (self.traffic, *(subset.traffic for subset in self.subsets)):
            yield ported.common
            yield from (policy for _, policy in ported.ports)


def _plain(ported: PortedPolicy) -> PortedPolicy:
    def single(policy: TrafficPolicy) -> TrafficPolicy:
        return replace(policy, tls=None) if policy.tls and policy.tls.credential else policy

    ports = tuple((port, single(policy)) for port, policy in ported.ports)
    return PortedPolicy(common=single(ported.common), ports=ports)


NO_POLICY = TrafficPolicy()


def traffic_of(policy: DestinationPolicy | None, port: int, subset: str = "") -> TrafficPolicy:
    """What holds where there may be no rule at all."""
    return policy.on(port, subset) if policy is not None else NO_POLICY
