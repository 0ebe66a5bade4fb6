"""HTTP routing rules with hosts resolved and defaults applied; what a VirtualService says, without its spelling.

Durations are seconds, `None` where nothing was said. Knows nothing of Envoy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from rollout.mesh.model.problem import Ref

MESH = "mesh"


class MatchKind(Enum):
    """How a string is compared; a path's prefix is one by whole elements (`/v1` takes `/v1/a`, not `/v1a`)."""

    EXACT = "exact"
    PREFIX = "prefix"
    PATH_PREFIX = "path-prefix"
    REGEX = "regex"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class StringMatch:
    """A comparison with a string; `PRESENT` takes no value."""

    kind: MatchKind
    value: str = ""
    ignore_case: bool = False


Caller: TypeAlias = frozenset[tuple[str, str]]
"""Labels of a calling workload by name, and its namespace under the empty name; in a rule, those that it must have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All of what it names must hold; `gateways` (`mesh` or `namespace/name`) and `caller` limit where it applies.

    With a `stat_prefix`, what it takes is counted apart; its `name` is for logs.
    """

    uri: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    scheme: StringMatch | None = None
    headers: tuple[tuple[str, StringMatch], ...] = ()
    without_headers: tuple[tuple[str, StringMatch], ...] = ()
    query: tuple[tuple[str, StringMatch], ...] = ()
    port: int | None = None
    gateways: tuple[str, ...] = ()
    caller: Caller = frozenset()
    stat_prefix: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where requests go: a resolved host, the port (`None`: the only one, or that of the request) and the subset."""

    host: str
    port: int | None = None
    subset: str = ""


NOWHERE = Destination(host="")
"""The destination of a share that leads to nothing: its requests are answered with 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderEdits:
    """What happens to the headers of requests and responses."""

    request_set: tuple[tuple[str, str], ...] = ()
    request_add: tuple[tuple[str, str], ...] = ()
    request_remove: tuple[str, ...] = ()
    response_set: tuple[tuple[str, str], ...] = ()
    response_add: tuple[tuple[str, str], ...] = ()
    response_remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedDestination:
    """One share of a route's requests."""

    destination: Destination
    weight: int
    headers: HeaderEdits = HeaderEdits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, on what, how long each attempt may take, and the least wait between two.

    `other_hosts` avoids endpoints that were tried; `remote` turns to farther localities after two attempts; with `hedge`
    an attempt that takes too long goes on beside the next, and the first good answer counts.
    """

    attempts: int
    on: str
    status_codes: tuple[int, ...] = ()
    per_try_timeout: float | None = None
    backoff: float | None = None
    other_hosts: bool = True
    remote: bool = False
    hedge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """An answer that sends the client elsewhere; with `same_port`, to the port that it came by.

    The new path is `uri`, or the old one changed by a `pattern` (expression and replacement).
    """

    uri: str = ""
    pattern: tuple[str, str] | None = None
    authority: str = ""
    scheme: str = ""
    port: int | None = None
    same_port: bool = False
    code: int = 301


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResponse:
    """An answer by the proxy itself."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Delegation:
    """Another table's rules stand here; in no table of a registry."""

    to: Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What replaces the matched prefix (or the whole path, or by a pattern) and the authority."""

    uri: str = ""
    authority: str = ""
    pattern: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A share of requests copied to another destination, whose answers are thrown away."""

    destination: Destination
    percent: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Which other origins browsers may call from; `forward` passes on preflights of others instead of answering them."""

    origins: tuple[StringMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: float | None = None
    credentials: bool | None = None
    forward: bool | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """A percentage of requests waits for so many seconds."""

    seconds: float
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Abort:
    """A percentage of requests is answered with a status: HTTP's, or gRPC's number."""

    percent: float = 100.0
    http: int = 0
    grpc: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is done to requests on purpose before they are sent on."""

    delay: Delay | None = None
    abort: Abort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One rule: any of `matches` (none: everything) leads to one action; `index` is its place in the resource."""

    index: int = 0
    name: str = ""
    matches: tuple[Match, ...] = ()
    action: tuple[WeightedDestination, ...] | Redirect | DirectResponse | Delegation
    rewrite: Rewrite | None = None
    headers: HeaderEdits = HeaderEdits()
    timeout: float | None = None
    retries: Retries | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    fault: Fault | None = None

    def destinations(self) -> frozenset[str]:
        """Every host that it or a mirror leads to."""
        shares = self.action if isinstance(self.action, tuple) else ()
        found = (*(share.destination for share in shares), *(m.destination for m in self.mirrors))
        return frozenset(destination.host for destination in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionMatch:
    """What is known of a connection before anything is read of it but, below TLS, the name that is asked for."""

    port: int | None = None
    names: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    caller: Caller = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRoute:
    """One rule for connections whose contents are nobody's business: any of `matches` leads to these shares."""

    index: int = 0
    matches: tuple[ConnectionMatch, ...] = ()
    shares: tuple[WeightedDestination, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """A VirtualService, or routes of Gateway API: rules for hosts, bound to `mesh` or to gateways (`namespace/name`).

    `exported` names the namespaces that see it (none: all), `ports` those that it is for (none: all). The lowest `rank`
    of those that are for a host comes first; VirtualServices have 0.
    """

    ref: Ref
    created: str
    hosts: tuple[str, ...]
    gateways: tuple[str, ...] = (MESH,)
    routes: tuple[Route, ...] = ()
    tcp: tuple[ConnectionRoute, ...] = ()
    tls: tuple[ConnectionRoute, ...] = ()
    exported: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()
    rank: int = 0

    @property
    def age(self) -> tuple[int, str, str, str]:
        """Sorts the oldest of the lowest rank first; names decide among those of one second."""
        return (self.rank, self.created, self.ref.namespace, self.ref.name)

    def callers(self) -> frozenset[Caller]:
        """What its rules ask of callers; empty where they are for everybody."""
        found = {match.caller for route in self.routes for match in route.matches}
        found.update(match.caller for rule in (*self.tcp, *self.tls) for match in rule.matches)
        found.update(frozenset({("", namespace)}) for namespace in self.exported)
        return frozenset(caller for caller in found if caller)

    def seen_by(self, callers: frozenset[Caller]) -> bool:
        """Whether callers of whom these conditions hold know it."""
        return not self.exported or any(
            frozenset({("", namespace)}) in callers for namespace in self.exported
        )

    def on(self, port: int) -> bool:
        """Whether it says anything of a port."""
        return not self.ports or port in self.ports

    def destinations(self) -> frozenset[str]:
        """Every host that a route or a mirror leads to."""
        rules = (*self.tcp, *self.tls)
        found = {share.destination.host for rule in rules for share in rule.shares}
        return frozenset(found).union(*(route.destinations() for route in self.routes))
