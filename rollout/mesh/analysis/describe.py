"""What the mesh knows of a pod or a service, in sentences: which rules lead to it, with which share, and what misses it."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.mesh.analysis import gatewayapi
from rollout.mesh.analysis.sharing import elsewhere, shares_of
from rollout.mesh.analysis.world import World
from rollout.mesh.ingest.services import Json
from rollout.mesh.inject.inject import wants_proxy
from rollout.mesh.model.routing import Route, RouteTable, WeightedDestination
from rollout.mesh.model.service import Service

Labels = frozenset[tuple[str, str]]


def describe_pod(world: World, pod: Json) -> list[str]:
    """A pod: its ports, its proxy, the services before it and what leads to each."""
    metadata, spec = pod["metadata"], pod["spec"]
    labels = frozenset((metadata.get("labels") or {}).items())
    lines = [f"Pod: {metadata['namespace']}/{metadata['name']}"]
    ports = [
        f"{port['containerPort']} ({container['name']})"
        for container in (*(spec.get("initContainers") or ()), *spec["containers"])
        for port in container.get("ports") or ()
    ]
    lines.append(f"  Ports: {', '.join(ports) or 'none named'}")
    lines.append(
        f"  Proxy: {'no: its requests are not in the mesh' if wants_proxy(dict(pod)) else 'yes'}"
    )
    before = list(world.registry.selecting(metadata["namespace"], labels))
    behind = frozenset(service.host for service in before)
    for service in before:
        lines += _service(world, service, labels, behind)
    if not before:
        lines.append("WARNING: no Service selects it: nothing is routed to it")
    return lines


def describe_service(world: World, service: Service) -> list[str]:
    """A service, and what leads to it."""
    return _service(world, service, None)


def _service(
    world: World, service: Service, pod: Labels | None, behind: frozenset[str] = frozenset()
) -> list[str]:
    lines = [f"Service: {service.namespace}/{service.name}"]
    lines += [
        f"  Port: {port.name or '-'} {port.number}, {port.protocol.value}, to {port.target}"
        for port in service.ports
    ]
    lines += _policy(world, service, pod)
    for table in _leading(world, service.host):
        lines += _table(world, table, service.host, pod, behind)
    lines += gatewayapi.leading(world, service, behind)
    return lines


def _policy(world: World, service: Service, pod: Labels | None) -> Iterator[str]:
    policy = world.registry.policy(service.namespace, service.host)
    if policy is None:
        return
    yield f"  DestinationRule: {policy.ref.namespace}/{policy.ref.name} for {policy.host}"
    if not policy.subsets:
        return
    if pod is None:
        yield f"    Subsets: {', '.join(each.name for each in policy.subsets)}"
        return
    matching = [each.name for each in policy.subsets if each.labels <= pod]
    others = [each.name for each in policy.subsets if not each.labels <= pod]
    yield f"    Matching subsets: {', '.join(matching) or 'none'}"
    if others:
        yield f"      (not matching: {', '.join(others)})"


def _leading(world: World, host: str) -> list[RouteTable]:
    """The VirtualServices with a rule to the host, or about it."""
    return [
        table
        for table in sorted(world.registry.tables.values(), key=lambda each: each.age)
        if table.ref.kind == "VirtualService"
        and (_about(world, table, host) or any(_to(world, each, host) for each in table.routes))
    ]


def _about(world: World, table: RouteTable, host: str) -> bool:
    return host in {world.registry.canonical(name) for name in table.hosts}


def _to(world: World, rule: Route, host: str) -> list[WeightedDestination]:
    """The shares of a rule that go to the host."""
    shares = shares_of(rule)
    return [each for each in shares if world.registry.canonical(each.destination.host) == host]


def _table(
    world: World, table: RouteTable, host: str, pod: Labels | None, behind: frozenset[str]
) -> Iterator[str]:
    through = ", ".join(table.gateways)
    yield f"  VirtualService: {table.ref.namespace}/{table.ref.name} through {through}"
    policy = world.registry.policy(table.ref.namespace, host)
    about = _about(world, table, host)
    reached = False
    for rule in table.routes:
        mine = _to(world, rule, host)
        if about and not mine:
            reached |= any(_to(world, rule, other) for other in behind)
            yield f"    Rule {rule.index}: {elsewhere(rule)}"
        for share in mine:
            name = share.destination.subset
            subset = policy.subset(name) if policy and name else None
            if name and subset is None:
                yield f"    WARNING: rule {rule.index} names subset {name}, which no DestinationRule declares"
            elif pod is None or subset is None or subset.labels <= pod:
                reached = True
                weight = share.weight if len(shares_of(rule)) > 1 else 100
                yield f"    Rule {rule.index}: weight {weight}%{f', subset {name}' if name else ''}"
    if pod is not None and not reached:
        yield "    WARNING: none of its rules leads to this pod"
