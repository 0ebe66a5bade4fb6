"""The HTTP filters of every connection manager, in one ordered table; a feature that needs a filter is a line here.

Slots for faults come last, where a request has its route and its caller is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from rollout.mesh.model.service import Workload
from rollout.mesh.translate import cors, faults, leasedfaults, ondemand
from rollout.mesh.translate.callers import peer_reader, peer_writer, proof_reader, proof_writer
from rollout.mesh.translate.resource import pack


class Side(Flag):
    """Where a connection manager stands."""

    INBOUND = auto()
    OUTBOUND = auto()
    GATEWAY = auto()


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter, the sides that have it and how its configuration is made; None for a slot, which gets it later.

    `proved` ones are only where callers have identities, `asking` ones where clusters are told on demand.
    """

    name: str
    sides: Side
    config: Callable[[Workload], Any] | None
    proved: bool = False
    asking: bool = False


TABLE = (
    Filter("envoy.filters.http.header_to_metadata", Side.INBOUND, lambda _: peer_reader()),
    Filter("rollout.identity.write", Side.INBOUND, lambda _: proof_writer(), proved=True),
    Filter("rollout.identity.read", Side.INBOUND, lambda _: proof_reader(), proved=True),
    # First, since a request that has waited begins anew.
    Filter(ondemand.FILTER, Side.OUTBOUND, lambda _: ondemand.discovery(), asking=True),
    Filter("envoy.filters.http.header_mutation", Side.OUTBOUND | Side.GATEWAY, peer_writer),
    Filter(cors.FILTER, Side.OUTBOUND | Side.GATEWAY, lambda _: cors_pb2.Cors()),
    Filter(faults.FILTER, Side.OUTBOUND | Side.GATEWAY, lambda _: fault_pb2.HTTPFault()),
    *(Filter(name, Side.INBOUND, None) for name in leasedfaults.INBOUND),
    *(Filter(name, Side.OUTBOUND | Side.GATEWAY, None) for name in leasedfaults.OUTBOUND),
    Filter(
        "envoy.filters.http.router",
        Side.INBOUND | Side.OUTBOUND | Side.GATEWAY,
        lambda _: router_pb2.Router(),
    ),
)


def http_filters(
    side: Side, workload: Workload, *, secured: bool = False, on_demand: bool = False
) -> list[Any]:
    """The filters of one side, in the table's order; `secured` where what comes in comes in mutual TLS."""
    return [
        hcm.HttpFilter(name=entry.name, typed_config=pack(entry.config(workload)))
        if entry.config is not None
        else leasedfaults.empty_slot(entry.name)
        for entry in TABLE
        if entry.sides & side and (secured or not entry.proved) and (on_demand or not entry.asking)
    ]
