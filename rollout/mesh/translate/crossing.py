"""What gateways with AUTO_PASSTHROUGH lead to: mutual TLS passes them unbroken, by the names of the mesh's clusters.

Proxies ask for `outbound_.PORT_.SUBSET_.HOST`; only endpoints that end mutual TLS themselves are behind such a name, since
the gateway cannot see who comes. Knows nothing of listeners beyond what their chains are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from rollout.mesh.model.hosts import covers
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import Port, Protocol, Resolution, Service
from rollout.mesh.model.traffic import AS_USUAL, DestinationPolicy, Lasting, traffic_of
from rollout.mesh.translate import names
from rollout.mesh.translate.clusters import bare_cluster
from rollout.mesh.translate.endpoints import assignment
from rollout.mesh.translate.localities import Standpoint, groups
from rollout.mesh.translate.resource import Resource, wrap
from rollout.mesh.translate.resource import replace as put

Admitted = frozenset[tuple[str, str]]
"""Hosts that are led to: (namespace or `*`, host, perhaps a wildcard) pairs."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A name that connections ask for, which is a cluster's too; how long they last."""

    name: str
    lasting: Lasting = AS_USUAL


def passages(registry: Registry, namespace: str, admitted: Admitted) -> Iterator[Passage]:
    """All that proxies of a namespace lead to, by service, port and subset."""
    for host in sorted(registry.services):
        service = registry.services[host]
        if not _leads_to(service, namespace, admitted):
            continue
        policy = registry.policy(namespace, host)
        for port, subset in _parts(service, policy):
            yield Passage(
                names.asked_for(host, port.number, subset),
                traffic_of(policy, port.number, subset).lasting,
            )


def _leads_to(service: Service, namespace: str, admitted: Admitted) -> bool:
    inside = not service.external and service.resolution is Resolution.ENDPOINTS
    if not inside or "*" in service.host or not service.seen_from(namespace):
        return False
    return any(
        owner in {"*", service.namespace} and covers(pattern, service.host)
        for owner, pattern in admitted
    )


def _parts(service: Service, policy: DestinationPolicy | None) -> Iterator[tuple[Port, str]]:
    """Ports and subsets (empty: all of them); a name with a wildcard could not be asked for."""
    subsets = [each.name for each in policy.subsets if "*" not in each.name] if policy else []
    for port in service.ports:
        if port.protocol is not Protocol.UDP:
            for subset in ("", *subsets):
                # What is inside of the TLS is nobody's business here.
                yield replace(port, protocol=Protocol.TCP), subset


class Crossing:
    """Keeps clusters and endpoints of what is admitted among those that a kind of proxy has."""

    def __init__(
        self,
        registry: Registry,
        namespace: str,
        standpoint: Standpoint,
        clusters: dict[str, Resource],
        endpoints: dict[str, Resource],
    ) -> None:
        self._registry, self._namespace, self._standpoint = registry, namespace, standpoint
        self._clusters, self._endpoints = clusters, endpoints
        self._admitted: Admitted = frozenset()
        self._names: dict[str, tuple[str, ...]] = {}

    def admit(self, admitted: Admitted) -> dict[str, set[str]]:
        """These hosts and no others are led to; answers the names that changed, by type."""
        if admitted == self._admitted:
            return {}
        self._admitted = admitted
        return self.update(self._registry.services.keys() | self._names.keys())

    def update(self, hosts: Iterable[str]) -> dict[str, set[str]]:
        """Makes what leads to these hosts again."""
        found: dict[str, set[str]] = {names.CLUSTER: set(), names.ENDPOINTS: set()}
        for host in hosts if self._admitted or self._names else ():
            made, ready = self._make(host)
            known = self._names.pop(host, ())
            found[names.CLUSTER] |= put(self._clusters, known, made)
            found[names.ENDPOINTS] |= put(self._endpoints, known, ready)
            if made:
                self._names[host] = tuple(each.name for each in made)
        return found

    def _make(self, host: str) -> tuple[list[Resource], list[Resource]]:
        made: list[Resource] = []
        ready: list[Resource] = []
        service = self._registry.services.get(host)
        if service is None or not _leads_to(service, self._namespace, self._admitted):
            return made, ready
        policy = self._registry.policy(self._namespace, host)
        there = self._registry.endpoints.get(host, {})
        for port, subset in _parts(service, policy):
            name = names.asked_for(host, port.number, subset)
            cluster = bare_cluster(name, service, port, subset, policy)
            made.append(wrap(names.CLUSTER, name, cluster))
            part = policy.subset(subset) if policy and subset else None
            chosen = [
                each
                for each in there.get(port.number, ())
                if each.identity and (part is None or part.labels <= each.labels)
            ]
            traffic = traffic_of(policy, port.number, subset)
            found = assignment(name, groups(chosen, traffic, self._standpoint))
            ready.append(wrap(names.ENDPOINTS, name, found))
        return made, ready
