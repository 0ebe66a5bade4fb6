"""A fault that an experiment puts into proxies for as long as somebody vouches for it. Knows nothing of Envoy.

Unlike the fault of a route (`routing.Fault`) it belongs to no route: it composes with whatever routes there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import Abort, Delay, Match

INBOUND_SLOTS = 2
"""Faults of layer upstream that one proxy can carry at a time: two services of the same pods."""
OUTBOUND_SLOTS = 4
"""Faults of layer client that one proxy can carry at a time, whatever the services that it calls."""


class Layer(Enum):
    """Where requests are faulted: at the service, below its callers' retries, or at the callers, above them."""

    UPSTREAM = "upstream"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The body of a percentage of responses passes at so many KiB a second at most."""

    kibps: int
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Reset:
    """A percentage of requests is broken off without an answer."""

    percent: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Whose requests are faulted: those of pods with all these labels, in any of these namespaces (none: all)."""

    labels: frozenset[tuple[str, str]] = frozenset()
    namespaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedFault:
    """What is done to requests for any of `hosts` that meet any of `matches` (none: all of them).

    `run` is how leases name it; it ends at `expires` at the latest, whoever vouches for it.
    """

    ref: Ref
    run: str
    begun: str
    expires: datetime
    hosts: frozenset[str]
    layer: Layer
    callers: Callers = Callers()
    matches: tuple[Match, ...] = ()
    delay: Delay | None = None
    abort: Abort | None = None
    reset: Reset | None = None
    """Never beside `abort`: a request can end but once."""
    bandwidth: Bandwidth | None = None
    certificates: bool = False
    """Whether the authority gives the pods of `hosts` no certificates."""

    @property
    def in_proxies(self) -> bool:
        """Whether proxies carry any of it out."""
        parts = (self.delay, self.abort, self.reset, self.bandwidth)
        return any(part is not None for part in parts)

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first; names decide among those of one second."""
        return (self.begun, self.ref.namespace, self.ref.name)
