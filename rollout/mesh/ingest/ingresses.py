"""Kubernetes Ingresses to what the ingress gateway serves, read as Istio reads them.

Rules for one host are put together over all Ingresses, so that the most specific path wins whoever has it; the oldest
Ingress wins among equal ones. Must not know where statuses are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rollout.mesh.ingest.services import Json
from rollout.mesh.model import routing as ir
from rollout.mesh.model.gateway import Gateway, GatewayServer, ServerProtocol, ServerTLS, TLSMode
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import service_host

KIND = "Ingress"
SELECTOR = frozenset({("istio", "ingressgateway")})
"""The pods that serve Ingresses, Istio's `ingressSelector`."""
CONTROLLERS = frozenset({"istio.io/ingress-controller", "rollout.dev/ingress-controller"})
_CLASSES = frozenset({"istio", "rollout"})
"""Classes that are the mesh's where there is no IngressClass of the name."""
_ANNOTATION = "kubernetes.io/ingress.class"
_HTTP, _HTTPS = 80, 443
_ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A Service's port, by number or by name; `field` is where it is written."""

    field: str
    service: str
    port: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One path of a host."""

    host: str
    uri: ir.StringMatch
    backend: Backend

    @property
    def rank(self) -> tuple[bool, int, str]:
        """Sorts the most specific first."""
        return (self.uri.kind is not ir.MatchKind.EXACT, -len(self.uri.value), self.uri.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """An Ingress as far as it can be acted upon."""

    ref: Ref
    created: str
    hosts: tuple[str, ...]
    paths: tuple[Path, ...]
    default: Backend | None
    tls: tuple[tuple[tuple[str, ...], str], ...]
    problems: tuple[Problem, ...]

    @property
    def age(self) -> tuple[str, Ref]:
        """Sorts the oldest first."""
        return (self.created, self.ref)

    @property
    def backends(self) -> Iterator[Backend]:
        """All that it names."""
        yield from (path.backend for path in self.paths)
        if self.default is not None:
            yield self.default


def wanted(obj: Json, controllers: Mapping[str, str]) -> bool:
    """Whether an Ingress is the mesh's, by its class; `controllers` are those of the IngressClasses by name."""
    annotations = obj["metadata"].get("annotations") or {}
    name = annotations.get(_ANNOTATION) or (obj.get("spec") or {}).get("ingressClassName") or ""
    return controllers[name] in CONTROLLERS if name in controllers else name in _CLASSES


def ingress(obj: Json) -> Ingress:
    """The Ingress; what of it cannot be acted upon is left out and among its problems."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    reader = _Reader(Ref(KIND, metadata["namespace"], metadata["name"]))
    rules = spec.get("rules") or ()
    default = reader.backend("spec.defaultBackend", spec.get("defaultBackend"))
    return Ingress(
        ref=reader.ref,
        created=metadata.get("creationTimestamp") or "",
        hosts=tuple(dict.fromkeys(rule.get("host") or _ANY for rule in rules)) or (_ANY,),
        paths=tuple(reader.paths(rules)),
        default=default,
        tls=tuple(reader.tls(spec.get("tls") or ())),
        problems=tuple(reader.problems),
    )


class _Reader:
    """Reads one Ingress, gathering its problems."""

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self.problems: list[Problem] = []

    def backend(self, field: str, written: Json | None) -> Backend | None:
        """The Service behind a path; None where there is none, or something else."""
        if not written:
            return None
        service = written.get("service")
        if not service:
            reason = "is no Service: requests for it are answered with 404"
            self.problems.append(Problem(self.ref, f"{field}.resource", reason, "name a Service"))
            return None
        port = service.get("port") or {}
        return Backend(
            field=f"{field}.service",
            service=service["name"],
            port=port.get("number") or port.get("name") or "",
        )

    def paths(self, rules: Iterable[Json]) -> Iterator[Path]:
        """All paths of all hosts."""
        for i, rule in enumerate(rules):
            for j, path in enumerate((rule.get("http") or {}).get("paths") or ()):
                field = f"spec.rules[{i}].http.paths[{j}]"
                backend = self.backend(f"{field}.backend", path.get("backend"))
                if backend is not None:
                    uri = _uri(path.get("path") or "/", path.get("pathType") or "")
                    yield Path(host=rule.get("host") or _ANY, uri=uri, backend=backend)

    def tls(self, written: Iterable[Json]) -> Iterator[tuple[tuple[str, ...], str]]:
        """(hosts, Secret) pairs."""
        for index, each in enumerate(written):
            if secret := each.get("secretName"):
                yield tuple(each.get("hosts") or (_ANY,)), secret
                continue
            reason = "is missing: its hosts are not served on port 443"
            remedy = "name a Secret of the gateway's namespace"
            self.problems.append(Problem(self.ref, f"spec.tls[{index}].secretName", reason, remedy))


def _uri(path: str, kind: str) -> ir.StringMatch:
    """Istio's reading of `ImplementationSpecific`: exact, unless it ends with `.*` or `/*`."""
    if kind == "Prefix" or path == "/":
        return ir.StringMatch(ir.MatchKind.PATH_PREFIX, path.rstrip("/") or "/")
    if kind != "Exact" and path.endswith("/*"):
        return ir.StringMatch(ir.MatchKind.PATH_PREFIX, path[:-2] or "/")
    if kind != "Exact" and path.endswith(".*"):
        return ir.StringMatch(ir.MatchKind.PREFIX, path[:-2] or "/")
    return ir.StringMatch(ir.MatchKind.EXACT, path)


class Ingresses:
    """Puts all Ingresses of the mesh's classes into a registry: a gateway for each, a table for each host."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._objects: dict[Ref, Json] = {}
        self._controllers: dict[str, str] = {}
        self._mine: dict[Ref, Ingress] = {}
        self._made: set[Ref] = set()
        self._stale = False

    def put(self, namespace: str, name: str, obj: Json | None) -> None:
        """An Ingress came, changed or (None) went."""
        ref = Ref(KIND, namespace, name)
        if obj is None:
            self._objects.pop(ref, None)
        else:
            self._objects[ref] = obj
        self._registry.note(ref)
        self._stale = True

    def put_class(self, name: str, obj: Json | None) -> None:
        """An IngressClass came, changed or (None) went."""
        if obj is None:
            self._controllers.pop(name, None)
        else:
            self._controllers[name] = (obj.get("spec") or {}).get("controller") or ""
        self._stale = True

    def service(self, namespace: str, name: str) -> None:
        """A Service changed: ports that are meant by name may have other numbers."""
        self._stale = self._stale or any(
            each.ref.namespace == namespace and backend.service == name
            for each in self._mine.values()
            for backend in each.backends
            if isinstance(backend.port, str)
        )

    def mine(self) -> frozenset[Ref]:
        """The Ingresses that the mesh serves."""
        return frozenset(self._mine)

    def flush(self) -> None:
        """Takes up what changed since the last time."""
        if not self._stale:
            return
        self._stale = False
        ours = (obj for obj in self._objects.values() if wanted(obj, self._controllers))
        every = sorted(map(ingress, ours), key=lambda each: each.age)
        before, self._mine = self._mine, {each.ref: each for each in every}
        for ref in before.keys() - self._mine.keys():
            self._registry.set_gateway(ref, None)
        for each in every:
            self._registry.set_gateway(each.ref, _gateway(each))
        made = {table.ref: table for table in self._tables(every)}
        for ref in self._made - made.keys():
            self._registry.set_table(ref, None)
        for ref, table in made.items():
            self._registry.set_table(ref, table)
        self._made = set(made)

    def problems(self) -> dict[Ref, tuple[Problem, ...]]:
        """What of the Ingresses is not served as written."""
        found = {ref: (*each.problems, *self._dangling(each)) for ref, each in self._mine.items()}
        return {ref: problems for ref, problems in found.items() if problems}

    def _dangling(self, each: Ingress) -> Iterator[Problem]:
        for backend in dict.fromkeys(each.backends):
            host = service_host(each.ref.namespace, backend.service)
            service = self._registry.services.get(host)
            if service is None:
                reason = f"no service {backend.service}: requests are answered with 503"
                remedy = "create the Service, or correct the name"
                yield Problem(each.ref, f"{backend.field}.name", reason, remedy)
            elif all(backend.port not in {port.number, port.name} for port in service.ports):
                ports = ", ".join(str(port.number) for port in service.ports) or "none"
                reason = f"{host} has no port {backend.port}: requests are answered with 503"
                yield Problem(each.ref, f"{backend.field}.port", reason, f"its ports are {ports}")

    def _tables(self, every: Iterable[Ingress]) -> Iterator[ir.RouteTable]:
        by_host: dict[str, list[Ingress]] = {}
        for each in every:
            for host in (*each.hosts, *((_ANY,) if each.default else ())):
                by_host.setdefault(host, []).append(each)
        for host, group in by_host.items():
            owners = list(dict.fromkeys(group))
            routes = self._routes(host, owners)
            if routes:
                yield ir.RouteTable(
                    ref=Ref(KIND, "", host),
                    created=owners[0].created,
                    hosts=(host,),
                    gateways=tuple(_gateway(each).key for each in owners),
                    routes=tuple(routes),
                )

    def _routes(self, host: str, owners: Iterable[Ingress]) -> list[ir.Route]:
        paths = [(path, each) for each in owners for path in each.paths if path.host == host]
        found = [
            self._route(index, path.backend, each, ir.Match(uri=path.uri))
            for index, (path, each) in enumerate(sorted(paths, key=lambda pair: pair[0].rank))
        ]
        defaults = ((each.default, each) for each in owners if each.default is not None)
        for backend, each in defaults:
            found.append(self._route(len(found), backend, each))
            break
        return found

    def _route(self, index: int, to: Backend, owner: Ingress, *matches: ir.Match) -> ir.Route:
        host = service_host(owner.ref.namespace, to.service)
        destination = ir.Destination(host=host, port=self._number(host, to.port))
        return ir.Route(
            index=index,
            name=f"{owner.ref.namespace}/{owner.ref.name}",
            matches=matches,
            action=(ir.WeightedDestination(destination=destination, weight=100),),
        )

    def _number(self, host: str, port: int | str) -> int | None:
        if isinstance(port, int):
            return port
        service = self._registry.services.get(host)
        ports = service.ports if service is not None else ()
        return next((each.number for each in ports if each.name == port), None)


def _gateway(each: Ingress) -> Gateway:
    servers = [GatewayServer(port=_HTTP, hosts=((_ANY, _ANY),), name="http", path="spec.rules")]
    servers += [
        GatewayServer(
            port=_HTTPS,
            hosts=tuple((_ANY, host) for host in hosts),
            index=index + 1,
            name=f"https-{index}",
            protocol=ServerProtocol.HTTPS,
            tls=ServerTLS(mode=TLSMode.SIMPLE, credential=secret),
            path=f"spec.tls[{index}]",
        )
        for index, (hosts, secret) in enumerate(each.tls)
    ]
    return Gateway(ref=each.ref, created=each.created, selector=SELECTOR, servers=tuple(servers))
