"""Problems that no object has by itself: it refers to what does not exist, or to what another has already.

They come and go as other objects do, so they are looked for in the registry as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import MESH, Destination, RouteTable
from rollout.mesh.model.selected import Selecting
from rollout.mesh.model.service import Resolution
from rollout.mesh.model.traffic import DestinationPolicy


def dangling(registry: Registry) -> dict[Ref, tuple[Problem, ...]]:
    """The problems of every routing object that has any."""
    found: dict[Ref, tuple[Problem, ...]] = {}
    for ref, table in registry.tables.items():
        # What is made of other kinds is theirs to say something of.
        if ref.kind == "VirtualService" and (problems := tuple(_of_table(registry, table))):
            found[ref] = problems
    shadowed: Iterator[tuple[Selecting, Selecting]]
    shadowed = chain(registry.peers.shadowed(), registry.scopes.shadowed())
    for shadow, holder in shadowed:
        reason = f"{holder.ref} is older and holds for the same workloads: this one has no effect"
        remedy = "remove one of them, or put both into one"
        found[shadow.ref] = (Problem(shadow.ref, "spec", reason, remedy),)
    for ref, policy in registry.policies.items():
        if problems := tuple(_of_policy(registry, policy)):
            found[ref] = problems
    return found


def _of_table(registry: Registry, table: RouteTable) -> Iterator[Problem]:
    for field, destination in _destinations(table):
        yield from _of_destination(registry, table, field, destination)
    for index, name in enumerate(table.gateways):
        if name != MESH and Ref("Gateway", *name.split("/", 1)) not in registry.gateways:
            reason = f"Gateway {name} does not exist"
            remedy = "create it, or write namespace/name of one that does"
            yield Problem(table.ref, f"spec.gateways[{index}]", reason, remedy)
    if MESH not in table.gateways:
        return
    for index, host in enumerate(table.hosts):
        first = registry.mesh_tables(registry.canonical(host))[0]
        if first.ref != table.ref and host in first.hosts:
            reason = f"{host} has the routes of {first.ref} already, which is older"
            yield Problem(table.ref, f"spec.hosts[{index}]", reason, "put all rules into one")


def _destinations(table: RouteTable) -> Iterator[tuple[str, Destination]]:
    for route in table.routes:
        path = f"spec.http[{route.index}]"
        if isinstance(route.action, tuple):
            for index, share in enumerate(route.action):
                yield f"{path}.route[{index}].destination", share.destination
        for mirror in route.mirrors:
            yield f"{path}.mirror", mirror.destination


def _of_destination(
    registry: Registry, table: RouteTable, field: str, destination: Destination
) -> Iterator[Problem]:
    host = registry.canonical(destination.host)
    service = registry.services.get(host)
    if service is None:
        reason = f"no service {destination.host}: requests are answered with 503"
        yield Problem(table.ref, f"{field}.host", reason, "create the Service, or correct the name")
        return
    if destination.port is not None and service.port(destination.port) is None:
        ports = ", ".join(str(port.number) for port in service.ports) or "none"
        reason = f"{host} has no port {destination.port}: requests are answered with 503"
        yield Problem(table.ref, f"{field}.port.number", reason, f"its ports are {ports}")
    if not destination.subset:
        return
    policy = registry.policy(table.ref.namespace, host)
    if policy is None or policy.subset(destination.subset) is None:
        reason = f"no DestinationRule of {host} has subset {destination.subset}"
        remedy = "declare it in a DestinationRule of the host"
        yield Problem(
            table.ref, f"{field}.subset", f"{reason}: requests are answered with 503", remedy
        )


def _of_policy(registry: Registry, policy: DestinationPolicy) -> Iterator[Problem]:
    if policy.host.startswith("*"):
        return
    service = registry.services.get(registry.canonical(policy.host))
    if service is None:
        reason = f"no service {policy.host}: the rule has no effect"
        yield Problem(policy.ref, "spec.host", reason, "create the Service, or correct the name")
        return
    path = "spec.trafficPolicy.loadBalancer"
    if policy.prefers and service.resolution is not Resolution.ENDPOINTS:
        reason = "has no effect: the mesh does not know the endpoints of this host"
        field = f"{path}.localityLbSetting.failoverPriority"
        yield Problem(policy.ref, field, reason, "remove it, or use resolution STATIC")
    if policy.hashes_requests and not service.routed_ports:
        reason = "has no effect: the host's ports carry connections, whose contents nobody looks at"
        yield Problem(policy.ref, f"{path}.consistentHash", reason, "use useSourceIp")
