"""Clusters and endpoints as they are seen from one place, kept up to date change by change.

What views of a place have in common is made once. Knows nothing of single proxies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rollout.mesh.model.problem import Problem
from rollout.mesh.model.proxy import Proxy, ProxyType
from rollout.mesh.model.reach import Reach
from rollout.mesh.model.service import Service
from rollout.mesh.model.traffic import DestinationPolicy
from rollout.mesh.translate import names, ondemand
from rollout.mesh.translate.localities import Standpoint
from rollout.mesh.translate.resource import Resource, replace
from rollout.mesh.translate.shared import Shared
from rollout.mesh.translate.tls import client_keys

Changed = dict[str, set[str]]
"""Names of resources that came, changed or went, by type."""


class Place(NamedTuple):
    """From where the mesh is seen: a namespace and a standpoint, by gateways at the `edge`, as far as a Sidecar reaches."""

    namespace: str
    standpoint: Standpoint
    edge: bool
    reach: Reach


def place_of(proxy: Proxy) -> Place:
    """From where a proxy sees the mesh."""
    standpoint = Standpoint(proxy.locality, proxy.near)
    return Place(proxy.namespace, standpoint, proxy.type is ProxyType.ROUTER, proxy.reach)


class Scope:
    """Clusters and endpoints as seen from a place; `lazy` are the clusters that are told on demand."""

    def __init__(self, place: Place, shared: Shared) -> None:
        self._namespace, self.standpoint = place.namespace, place.standpoint
        self._edge, self._reach = place.edge, place.reach
        self._shared = shared
        self._rules: dict[str, DestinationPolicy] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self.clusters: dict[str, Resource] = {}
        self.endpoints: dict[str, Resource] = {}
        self.lazy: set[str] = set()
        self.update(shared.registry.services)

    def update(self, hosts: Iterable[str]) -> Changed:
        """Makes the clusters and endpoints of these hosts again."""
        found: Changed = {names.CLUSTER: set(), names.ENDPOINTS: set()}
        for host in hosts:
            service = self._shared.registry.services.get(host)
            made: list[Resource] = []
            ready: list[Resource] = []
            if service is not None and self._sees(service):
                policy = self._policy(host)
                made = self._shared.clusters(service, policy)
                ready = self._shared.endpoints(service, policy, self.standpoint)
            known = self._names.pop(host, ())
            found[names.CLUSTER] |= replace(self.clusters, known, made)
            found[names.ENDPOINTS] |= replace(self.endpoints, known, ready)
            if made:
                self._names[host] = tuple(resource.name for resource in made)
            if self._reach.on_demand:
                found[names.CLUSTER] |= self._defer(service, known, self._names.get(host, ()))
        return found

    def _defer(
        self, service: Service | None, before: Iterable[str], now: Iterable[str]
    ) -> set[str]:
        """Notes which of a service's clusters can wait; answers those that could before and cannot any more."""
        ports = ondemand.waitable(self._shared.registry, service) if service else frozenset[int]()
        lazy = {name for name in now if int(name.split("|")[1]) in ports}
        waited = self.lazy.intersection(before)
        self.lazy -= waited
        self.lazy |= lazy
        return waited - lazy

    def refresh(self, hosts: set[str], destinations: Iterable[str]) -> Changed:
        """Takes up what changed of these hosts, and that routes lead elsewhere than before."""
        if not self._reach.unlimited or self._reach.on_demand:
            hosts = hosts | set(map(self._shared.registry.canonical, destinations))
        return self.update(hosts)

    def _sees(self, service: Service) -> bool:
        registry = self._shared.registry
        return service.seen_from(self._namespace) and registry.reaches(self._reach, service)

    def _policy(self, host: str) -> DestinationPolicy | None:
        found = self._shared.registry.policy(self._namespace, host)
        self._rules.pop(host, None)
        if found is None or not found.credentials():
            return found
        if not self._edge:
            return found.without_credentials()
        self._rules[host] = found
        return found

    def keys(self) -> tuple[list[Resource], list[Problem]]:
        """What TLS towards services needs, by the rules that name Secrets."""
        made: dict[str, Resource] = {}
        problems: set[Problem] = set()
        for rule in self._rules.values():
            for given in rule.credentials():
                found = client_keys(given, self._namespace, self._shared.registry)
                reason = found if isinstance(found, str) else found.warning
                if reason:
                    field = "spec.trafficPolicy.tls.credentialName"
                    problems.add(Problem(rule.ref, field, reason, "create or correct the Secret"))
                if not isinstance(found, str):
                    made |= {resource.name: resource for resource in found.resources}
        return list(made.values()), sorted(problems)
