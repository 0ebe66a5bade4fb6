"""Objects, as they come and go, into the registry; with the problems of each, the last good reading staying in force.

Knows neither stores nor watches: whoever does calls `put` and `remove`, then `flush`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from rollout.api.errors import InvalidObject
from rollout.api.istio import DestinationRule, ServiceEntry, VirtualService, WorkloadEntry
from rollout.api.istio import Gateway as GatewayObject
from rollout.api.istio.peerauthentication import PeerAuthentication
from rollout.api.istio.sidecar import Sidecar
from rollout.api.istio.telemetry import Telemetry
from rollout.mesh.ingest import services
from rollout.mesh.ingest.claims import Claims
from rollout.mesh.ingest.credentials import Unusable, credential
from rollout.mesh.ingest.delegation import Delegations
from rollout.mesh.ingest.destinationrules import destination_policy
from rollout.mesh.ingest.gatewayapi.feed import GatewayFeed
from rollout.mesh.ingest.gateways import gateway
from rollout.mesh.ingest.ingresses import Ingresses
from rollout.mesh.ingest.peers import peer_policy
from rollout.mesh.ingest.serviceentries import Declared, declared
from rollout.mesh.ingest.services import Json, PodOf
from rollout.mesh.ingest.sidecars import sidecar_scope
from rollout.mesh.ingest.telemetry import telemetry_policy
from rollout.mesh.ingest.virtualservices import route_table
from rollout.mesh.ingest.workloadentries import Members, joined, member
from rollout.mesh.model.credential import Credential
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Ports, Registry
from rollout.mesh.model.service import service_host

SlicesOf = Callable[[str, str], Iterable[Json]]
"""Finds the EndpointSlices of a service by namespace and name."""
PodsIn = Callable[[str], Iterable[Json]]
"""Finds the pods of a namespace."""
ROUTING_KINDS = (
    "VirtualService",
    "DestinationRule",
    "Gateway",
    "ServiceEntry",
    "WorkloadEntry",
    "PeerAuthentication",
    "Sidecar",
    "Telemetry",
)
_SERVICE_LABEL = "kubernetes.io/service-name"


class Feed:
    """The way into a registry."""

    def __init__(
        self,
        registry: Registry,
        *,
        slices_of: SlicesOf,
        pod_of: PodOf,
        pods_in: PodsIn = lambda _namespace: (),
    ) -> None:
        self._registry = registry
        self._slices_of, self._pod_of, self._pods_in = slices_of, pod_of, pods_in
        self._depending: dict[Ref, tuple[Declared, ...]] = {}
        self._members = Members()
        self._outdated: set[Ref] = set()
        self._stale: set[tuple[str, str]] = set()
        self._claims = Claims(registry)
        self._delegations = Delegations(registry)
        self.ingresses = Ingresses(registry)
        self.gateway_api = GatewayFeed(registry)
        self.problems: dict[Ref, tuple[Problem, ...]] = {}

    def service(self, namespace: str, name: str, obj: Json | None) -> None:
        """A Service came, changed or (None) went."""
        host = service_host(namespace, name)
        found = services.service(obj) if obj else None
        ref = Ref("Service", namespace, name)
        self._claims.service(ref, host, found)
        self._stale.add((namespace, name))
        self.ingresses.service(namespace, name)
        self.gateway_api.service(ref, obj)

    def slice(self, obj: Json) -> None:
        """An EndpointSlice came, changed or went: its service's endpoints have to be read again."""
        metadata = obj["metadata"]
        if name := (metadata.get("labels") or {}).get(_SERVICE_LABEL):
            self._stale.add((metadata["namespace"], name))

    def node(self, name: str, obj: Json | None) -> None:
        """A Node came, changed or (None) went: where it is moves the endpoints on it."""
        labels = (obj["metadata"].get("labels") or {}) if obj else {}
        if self._registry.set_place(name, services.node_locality(labels)):
            self._stale.update((s.namespace, s.name) for s in self._registry.services.values())
            self._outdated.update(self._depending)

    def pod(self, namespace: str) -> bool:
        """A pod of a namespace came, changed or went; whether ServiceEntries choose among its pods."""
        found = {ref for ref in self._depending if ref.namespace == namespace}
        self._outdated |= found
        return bool(found)

    def secret(self, namespace: str, name: str, obj: Json | None) -> None:
        """A Secret that may be a credential came, changed or (None) went."""
        found: Credential | str | None = None
        try:
            found = credential(obj) if obj and obj.get("data") else None
        except Unusable as unusable:
            found = str(unusable)
        self._registry.set_credential(namespace, name, found)
        self.gateway_api.credential()

    def flush(self) -> None:
        """Reads the endpoints of all services concerned, each once; puts Ingresses and Gateway API's objects together."""
        self.ingresses.flush()
        stale, self._stale = self._stale, set()
        for namespace, name in sorted(stale):
            host = service_host(namespace, name)
            self.gateway_api.touch(host)
            found = self._registry.services.get(host)
            if found is not None and found.hostname:
                continue
            ports = {}
            if found is not None:
                pieces = self._slices_of(namespace, name)
                ports = services.endpoints(found, pieces, self._pod_of, self._registry.places)
                ports = self._identified(joined(ports, self._members.behind(found)))
            self._registry.set_endpoints(host, ports)
        outdated, self._outdated = self._outdated, set()
        for ref in sorted(outdated):
            self._choose(ref)
        self.gateway_api.flush()

    def _identified(self, ports: Ports) -> Ports:
        if self._registry.mutual_tls is MutualTLS.NONE:
            return ports
        return services.identified(ports, self._registry.peers)

    def _choose(self, ref: Ref) -> None:
        """Puts a ServiceEntry's hosts in, with what is behind them as it is now."""
        found = {}
        for each in self._depending.get(ref, ()):
            ports = each.endpoints
            if each.service.selector:
                pods = self._pods_in(ref.namespace)
                ports = services.selected(each.service, pods, self._registry.places)
                ports = joined(ports, self._members.behind(each.service))
            found[each.service.host] = replace(each, endpoints=self._identified(ports))
        self._claims.put(ref, found)

    def routing(self, kind: str, namespace: str, name: str, obj: Json | None) -> None:
        """An object of one of the `ROUTING_KINDS` came, changed or (None) went."""
        ref = Ref(kind, namespace, name)
        reader = {
            "VirtualService": self._virtual_service,
            "DestinationRule": self._destination_rule,
            "Gateway": self._gateway,
            "ServiceEntry": self._service_entry,
            "WorkloadEntry": self._workload_entry,
            "PeerAuthentication": self._peer_authentication,
            "Sidecar": self._sidecar,
            "Telemetry": self._telemetry,
        }[kind]
        self.problems.pop(ref, None)
        try:
            problems = reader(ref, obj)
        except InvalidObject as invalid:
            problems = [Problem(ref, e.path, e.reason, e.remedy) for e in invalid.errors]
        if problems:
            self.problems[ref] = tuple(problems)

    def _virtual_service(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        if obj is None:
            self._delegations.put(ref, None)
            return []
        table, problems = route_table(VirtualService.parse(obj))
        self._delegations.put(ref, table)
        return problems

    def _destination_rule(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        if obj is None:
            self._registry.set_policy(ref, None)
            return []
        policy, problems = destination_policy(DestinationRule.parse(obj))
        self._registry.set_policy(ref, policy)
        return problems

    def _gateway(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        if obj is None:
            self._registry.set_gateway(ref, None)
            return []
        found, problems = gateway(GatewayObject.parse(obj))
        self._registry.set_gateway(ref, found)
        return problems

    def _service_entry(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        found, problems = declared(ServiceEntry.parse(obj)) if obj else ([], [])
        self._depending.pop(ref, None)
        self._outdated.discard(ref)
        if any(each.depends for each in found):
            self._depending[ref] = tuple(found)
            self._outdated.add(ref)
        else:
            self._claims.put(ref, {each.service.host: each for each in found})
        self._registry.note(ref)
        return problems

    def _workload_entry(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        found, problems = member(WorkloadEntry.parse(obj)) if obj else (None, [])
        for labels in self._members.put(ref, found):
            selecting = self._registry.selecting(ref.namespace, labels)
            self._stale.update((s.namespace, s.name) for s in selecting if not s.hostname)
        self.pod(ref.namespace)
        self._registry.note(ref)
        return problems

    def _telemetry(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        policy, problems = telemetry_policy(Telemetry.parse(obj)) if obj else (None, [])
        self._registry.set_telemetry(ref, policy)
        return problems

    def _sidecar(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        scope, problems = sidecar_scope(Sidecar.parse(obj)) if obj else (None, [])
        self._registry.set_scope(ref, scope)
        return problems

    def _peer_authentication(self, ref: Ref, obj: Mapping[str, Any] | None) -> list[Problem]:
        policy, problems = peer_policy(PeerAuthentication.parse(obj)) if obj else (None, [])
        if self._registry.set_peer_policy(ref, policy):
            # Endpoints say whether they take mutual TLS.
            everywhere = ref.namespace == self._registry.root_namespace
            self._outdated.update(
                each for each in self._depending if everywhere or each.namespace == ref.namespace
            )
            self._stale.update(
                (service.namespace, service.name)
                for service in self._registry.services.values()
                if everywhere or service.namespace == ref.namespace
            )
        return problems

    def conflicts(self) -> dict[Ref, tuple[Problem, ...]]:
        """What objects come to together with others: hosts that another has, rules that nobody gives."""
        found = self._claims.conflicts() | self._delegations.problems() | self.ingresses.problems()
        return found | self._members.unselected(self._registry)
