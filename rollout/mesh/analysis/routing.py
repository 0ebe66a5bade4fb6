"""What is accepted and in force, and yet likely not what was meant: ports, hosts and rules that never apply."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.mesh.analysis.finding import Code, Finding
from rollout.mesh.analysis.world import World
from rollout.mesh.model.gateway import Gateway
from rollout.mesh.model.hosts import narrower
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import MESH, Match
from rollout.mesh.model.service import Protocol


def port_names(world: World) -> Iterator[Finding]:
    """Ports whose protocol neither their name nor `appProtocol` says."""
    for service in world.registry.services.values():
        if service.namespace in world.system:
            continue
        for port in service.ports:
            if port.protocol is Protocol.AUTO:
                yield Finding(
                    code=Code.PORT_NAME,
                    ref=Ref("Service", service.namespace, service.name),
                    field=f"spec.ports[{port.name or port.number}]",
                    reason="its name begins with no protocol, so each connection is looked at to find it out",
                    remedy="name it http-…, grpc-…, tcp-…, or set appProtocol",
                )


def gateway_ports(world: World) -> Iterator[Finding]:
    """Servers on ports that no Service of the gateway's pods has."""
    pods = [pod["metadata"] for pod in world.objects["Pod"]]
    for gateway in world.registry.gateways.values():
        if gateway.ref.kind != "Gateway":
            continue
        selected = [
            frozenset((pod.get("labels") or {}).items())
            for pod in pods
            if gateway.selector <= frozenset((pod.get("labels") or {}).items())
        ]
        ports = {
            port.number
            for service in world.registry.services.values()
            for labels in selected
            if service.selects(labels)
            for port in service.ports
        }
        if not ports:
            continue
        for server in gateway.servers:
            if server.port not in ports:
                yield Finding(
                    code=Code.GATEWAY_PORT,
                    ref=gateway.ref,
                    field=f"spec.servers[{server.index}].port.number",
                    reason=f"no Service of the gateway's pods has port {server.port}",
                    remedy=f"add it there; its ports are {', '.join(map(str, sorted(ports)))}",
                )


def gateway_hosts(world: World) -> Iterator[Finding]:
    """Hosts of rules that none of the gateways they are bound to listens for."""
    for table in world.registry.tables.values():
        bound = [
            gateway
            for name in table.gateways
            if name != MESH
            and (gateway := world.registry.gateways.get(Ref("Gateway", *name.split("/", 1))))
        ]
        if not bound or MESH in table.gateways:
            continue
        for index, host in enumerate(table.hosts):
            if not any(_listens(gateway, host) for gateway in bound):
                yield Finding(
                    code=Code.HOST_NOT_IN_GATEWAY,
                    ref=table.ref,
                    field=f"spec.hosts[{index}]",
                    reason=f"none of its gateways listens for {host}",
                    remedy="add it to a server's hosts, or correct it",
                )


def unreachable(world: World) -> Iterator[Finding]:
    """Rules after one that takes everything."""
    for table in world.registry.tables.values():
        if table.ref.kind != "VirtualService":
            continue
        taken: int | None = None
        for route in table.routes:
            if taken is not None and route.index != taken:
                yield Finding(
                    code=Code.UNREACHABLE_RULE,
                    ref=table.ref,
                    field=f"spec.http[{route.index}]",
                    reason=f"rule {taken} before it takes every request",
                    remedy="put it before that one, or remove it",
                )
            elif not route.matches or Match() in route.matches:
                taken = route.index


def _listens(gateway: Gateway, host: str) -> bool:
    patterns = (pattern for server in gateway.servers for _, pattern in server.hosts)
    return any(narrower(pattern, host) for pattern in patterns)
