"""Which listeners a sidecar has for what leaves its application: by port for HTTP and names, by address for the rest."""

from __future__ import annotations

from dataclasses import replace

from rollout.mesh.model.proxy import Proxy
from rollout.mesh.model.routing import Caller
from rollout.mesh.model.service import Service
from rollout.mesh.model.telemetry import Reporter
from rollout.mesh.translate import names
from rollout.mesh.translate.opaque import Chain, distinct, service_chains
from rollout.mesh.translate.resource import Resource
from rollout.mesh.translate.shared import Shared
from rollout.mesh.translate.sidecars import first_seen, told


def outbound_listeners(shared: Shared, proxy: Proxy, reporter: Reporter) -> list[Resource]:
    """All of them; those that other proxies have too are made once."""
    callers = shared.callers(proxy.caller)
    found: list[Resource] = []
    reach = proxy.reach
    by_port: dict[int, list[Chain]] = {port: [] for port in shared.routed_ports(reach)}
    for service in shared.registry.opaque_services():
        if not service.seen_from(proxy.namespace):
            continue
        for number, chains in _chains(shared, service, callers, proxy).items():
            addresses = [each for each in service.addresses if "/" not in each]
            blocks = tuple(each for each in service.addresses if "/" in each)
            found += [
                shared.listener_to(address, number, reporter, chains) for address in addresses
            ]
            # A headless Service's connections go to the pod that they are for; a declared host's are known by the port.
            if blocks or (service.hostname and not addresses):
                limited = (replace(c, subnets=blocks) if c.everything else c for c in chains)
                by_port.setdefault(number, []).extend(limited)
    for port, wanted in sorted(by_port.items()):
        if port not in names.RESERVED_PORTS:
            found.append(shared.listener_any(port, reporter, distinct(wanted), reach))
    return found


def _chains(
    shared: Shared, service: Service, callers: frozenset[Caller], proxy: Proxy
) -> dict[int, tuple[Chain, ...]]:
    reach, client = proxy.reach, proxy.namespace
    tables = (t for t in told(shared.registry, service.host, reach) if t.tcp or t.tls)
    table = first_seen(tables, callers)
    return {
        port.number: distinct(
            service_chains(service, port, table, shared.cluster_of(port.number), callers, client)
        )
        for port in service.ports
        if port.protocol.opaque and reach.takes(service.namespace, service.host, port.number)
    }
