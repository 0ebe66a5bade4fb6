"""Whose fault it may be that proxies refuse a resource: objects of a kind that makes such, and of these the likeliest.

Those that changed since the proxy last had taken everything are likelier than others; of a proxy that has only just come,
the resource's name tells. Knows nothing of how it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY
from rollout.mesh.ingest.ingresses import KIND as INGRESS
from rollout.mesh.metrics import short
from rollout.mesh.model.hosts import covers
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.translate import names

_ROUTES = frozenset({"VirtualService", "DestinationRule", "HTTPRoute", "GRPCRoute"})
_GATEWAYS = frozenset({"Gateway", GATEWAY, INGRESS})
_SERVICES = frozenset({"DestinationRule", "ServiceEntry", "WorkloadEntry"})
_KINDS: dict[str, frozenset[str]] = {
    "cds": _SERVICES | {"Sidecar"},
    "eds": _SERVICES,
    "lds": _GATEWAYS | _SERVICES | {"VirtualService", "Sidecar", "Telemetry", "PeerAuthentication"},
    "sds": _GATEWAYS,
    "rds": _GATEWAYS | _ROUTES,
    "vhds": _ROUTES,
    "ecds": frozenset(),
    "other": frozenset(),
}
RoutesTo = Callable[[str], Collection[Ref]]
"""Gateway API's routes that have the Service of a host as parent."""


def culprits(
    type_url: str, name: str, suspects: Collection[Ref], registry: Registry, routes_to: RoutesTo
) -> frozenset[Ref]:
    """The objects that a refused resource may come from; none where nobody can tell."""
    kinds = _KINDS[short(type_url)]
    likely = frozenset(ref for ref in suspects if ref.kind in kinds)
    parts = frozenset(_made_of(type_url, name, registry, routes_to))
    return likely & parts or likely or parts


def _made_of(type_url: str, name: str, registry: Registry, routes_to: RoutesTo) -> Iterator[Ref]:
    """What is known to have part in a resource of that name."""
    host = _host(type_url, name)
    if not host:
        return
    yield from (rule.ref for rule in registry.policies.values() if covers(rule.host, host))
    if type_url == names.VIRTUAL_HOST:
        yield from (table.ref for table in registry.mesh_tables(host) if not table.rank)
        yield from routes_to(host)


def _host(type_url: str, name: str) -> str:
    """The host that a resource is for; empty where it is for several."""
    if type_url in {names.CLUSTER, names.ENDPOINTS} and name.startswith("outbound"):
        return name.rpartition("|")[2] if "|" in name else name.split("_.", 3)[-1]
    if type_url == names.VIRTUAL_HOST:
        return name.partition("/")[2]
    return ""
