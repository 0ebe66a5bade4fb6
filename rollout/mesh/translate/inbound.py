"""What is meant for the application (15006), by port: in mutual TLS, in plain text or both, as the workload takes it.

No chain is the default of all others: what a strict port does not take must not find another way in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2 as lc

from rollout.mesh.model.peers import PeerMode
from rollout.mesh.translate.mutual import HTTP_PROTOCOLS, PEER_PROTOCOLS, server_socket

HTTP_INSPECTED = ("http/1.0", "http/1.1", "h2c")


class Came(Enum):
    """How a connection came: in mutual TLS, its peer's identity proved, or as it is."""

    PROVED = "proved"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Inwards:
    """How a port's traffic is handed on: as HTTP, as bytes, or as whichever of them it is found to be.

    Each makes a filter for connections that came so.
    """

    name: str
    port: int | None
    http: Callable[[Came], Any] | None
    plain: Callable[[Came], Any] | None


def chains(way: Inwards, mode: PeerMode) -> list[Any]:
    """The chains of a port (None: of all ports without chains of their own)."""
    found: list[Any] = []
    if mode is not PeerMode.DISABLE:
        found += _mutual(way, strict=mode is PeerMode.STRICT)
    if mode is PeerMode.PERMISSIVE:
        found += _unwrapped(way, "raw_buffer")
        if way.plain is not None:
            # TLS of the application's own.
            found.append(_chain(way, "-tls", way.plain(Came.PLAIN), "tls"))
    if mode is PeerMode.DISABLE:
        found += _unwrapped(way, "")
    return found


def _mutual(way: Inwards, *, strict: bool) -> list[Any]:
    both = (*HTTP_PROTOCOLS, *PEER_PROTOCOLS)
    found = []
    if way.http is not None:
        offered = HTTP_PROTOCOLS if way.plain is not None else () if strict else both
        found.append(_chain(way, "-mtls-http", way.http(Came.PROVED), "tls", offered))
    if way.plain is not None:
        only = PEER_PROTOCOLS if way.http is not None else both
        found.append(_chain(way, "-mtls", way.plain(Came.PROVED), "tls", () if strict else only))
    for chain in found:
        chain.transport_socket.CopyFrom(server_socket())
    return found


def _unwrapped(way: Inwards, transport: str) -> list[Any]:
    found = []
    if way.http is not None:
        inspected = HTTP_INSPECTED if way.plain is not None else ()
        found.append(_chain(way, "-http", way.http(Came.PLAIN), transport, inspected))
    if way.plain is not None:
        found.append(_chain(way, "", way.plain(Came.PLAIN), transport))
    return found


def _chain(
    way: Inwards, suffix: str, filter_: Any, transport: str, protocols: Sequence[str] = ()
) -> Any:
    chain = lc.FilterChain(name=f"{way.name}{suffix}", filters=[filter_])
    if way.port is not None:
        chain.filter_chain_match.destination_port.value = way.port
    if transport:
        chain.filter_chain_match.transport_protocol = transport
    if protocols:
        chain.filter_chain_match.application_protocols.extend(protocols)
    return chain
