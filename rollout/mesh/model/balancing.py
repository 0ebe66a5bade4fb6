"""How an endpoint is chosen among those behind a host: which way, by what key, and who is near.

A part of what a DestinationRule says, without its spelling. Durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Balancer(Enum):
    """How an endpoint is chosen; PASSTHROUGH means the address that the client asked for."""

    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    RANDOM = "RANDOM"
    PASSTHROUGH = "CLUSTER_PROVIDED"


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie as a key; with a life (0: the session's) it is set where the client has none."""

    name: str
    path: str = ""
    ttl: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HashKey:
    """What is hashed: one of these."""

    header: str = ""
    cookie: Cookie | None = None
    query: str = ""
    source_ip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHash:
    """The same endpoint for the same key; on a ring of at least this size, or by a Maglev table."""

    key: HashKey
    ring: int = 1024
    maglev: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """A new endpoint's share grows from a percentage over so long."""

    duration: float
    minimum: float = 10.0
    aggression: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityRules:
    """What is near, and what takes over: shares by (from, to) patterns, and regions by (from, to).

    `priority` are labels that are compared in this order, with the caller's or (not None) with a value.
    """

    enabled: bool = True
    distribute: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    failover: tuple[tuple[str, str], ...] = ()
    priority: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """How an endpoint is chosen."""

    simple: Balancer = Balancer.LEAST_REQUEST
    consistent_hash: ConsistentHash | None = None
    warmup: Warmup | None = None
    locality: LocalityRules = LocalityRules()
