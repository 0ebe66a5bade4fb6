"""Clusters on demand: a request whose cluster the proxy does not have waits until it has asked for it and got it.

What else than a request refers to a cluster cannot wait; such clusters are told unasked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2

from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import RouteTable
from rollout.mesh.model.service import Service
from rollout.mesh.translate.sources import ADS
from rollout.mesh.translate.timeouts import duration
from rollout.mesh.translate.tracing import collected_by

FILTER = "envoy.filters.http.on_demand"
_PATIENCE = 5.0


def discovery() -> Any:
    """The filter; without an answer the request fails after some seconds."""
    source = on_demand_pb2.OnDemandCds(source=ADS, timeout=duration(_PATIENCE))
    return on_demand_pb2.OnDemand(odcds=source)


def waitable(registry: Registry, service: Service) -> frozenset[int]:
    """The ports of a service whose clusters nothing but requests refers to."""
    tables = registry.tables.leading_to(service.host)
    if any(service.host in _unasked(table) for table in tables):
        return frozenset()
    spoken_for = {
        collected_by(collector) for collector in registry.telemetry.mesh.collectors.values()
    }
    if any(service.host in name for name in spoken_for):
        return frozenset()
    return service.routed_ports


def _unasked(table: RouteTable) -> Iterator[str]:
    """The hosts that copies of requests go to, and connections."""
    for route in table.routes:
        yield from (mirror.destination.host for mirror in route.mirrors)
    for rule in (*table.tcp, *table.tls):
        yield from (share.destination.host for share in rule.shares)
