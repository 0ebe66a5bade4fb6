"""A route of Gateway API as read: its rules one match at a time, each with its precedence, and what is wrong with it.

The same for every kind of route and for every parent: who it is attached to is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from rollout.api.errors import FieldError
from rollout.api.gatewayapi.references import ObjectReference, ParentReference
from rollout.api.model import Metadata
from rollout.mesh.ingest.gatewayapi.backends import Backends, Unresolved
from rollout.mesh.ingest.gatewayapi.conditions import (
    ACCEPTED,
    RESOLVED,
    Condition,
    not_accepted,
    partially_invalid,
    unresolved,
)
from rollout.mesh.ingest.gatewayapi.grants import Grants, Referrer
from rollout.mesh.ingest.gatewayapi.matches import Unusable
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import Destination, DirectResponse, Route, WeightedDestination
from rollout.mesh.model.service import Service

Precedence = tuple[tuple[int, ...], str, str, int, int]
"""The match's rank; then the oldest route, by name where that is the same; then the place in the route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """What one match of one rule becomes; sorted by `precedence`, the first that matches counts."""

    precedence: Precedence
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReading:
    """A route by itself; `hostnames` is empty where all of its parents' are meant."""

    ref: Ref
    generation: int
    created: str
    parents: tuple[ParentReference, ...]
    hostnames: tuple[str, ...]
    ranked: tuple[Ranked, ...]
    conditions: tuple[Condition, ...]
    """`Accepted`, `ResolvedRefs` and, where rules are left out, `PartiallyInvalid`: what holds at each parent."""

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first."""
        return (self.created, self.ref.namespace, self.ref.name)

    @property
    def accepted(self) -> Condition:
        """Whether any of it can be acted upon."""
        return self.conditions[0]


@dataclass(slots=True)
class Notes:
    """What is found wrong while the rules of a route are read."""

    backends: Backends
    references: list[Unresolved] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def find(self, reference: ObjectReference, path: str) -> Destination | None:
        """Where a reference leads; what is wrong with it is noted."""
        found = self.backends.find(reference)
        if isinstance(found, Unresolved):
            self.references.append(Unresolved(found.reason, f"{path}: {found.message}"))
            return None
        return found

    def drop(self, rule: int, fault: Unusable) -> None:
        """A rule cannot be acted upon."""
        self.dropped.append(f"spec.rules[{rule}].{fault.field}: {fault.reason}")

    def conditions(self, *, rules: bool, unknown: Iterable[FieldError]) -> tuple[Condition, ...]:
        """What is said of the route at every parent; `rules` is whether any is left."""
        ignored = "; ".join(f"{each.path} is not acted upon" for each in unknown)
        accepted = Condition(ACCEPTED.type, ACCEPTED.reason, ignored)
        partly: tuple[Condition, ...] = ()
        if self.dropped and rules:
            partly = (partially_invalid(f"Dropped Rule: {'; '.join(self.dropped)}"),)
        elif self.dropped:
            accepted = not_accepted("UnsupportedValue", "; ".join(self.dropped))
        resolved = RESOLVED
        if self.references:
            message = "; ".join(each.message for each in self.references)
            resolved = unresolved(self.references[0].reason, message)
        return (accepted, resolved, *partly)


def notes_of(
    kind: str, metadata: Metadata, services: Mapping[str, Service], grants: Grants
) -> Notes:
    """For reading the rules of a route."""
    return Notes(Backends(Referrer(kind, metadata.namespace), services, grants))


def precedence(rank: tuple[int, ...], metadata: Metadata, rule: int, match: int) -> Precedence:
    """The precedence of a match whose rank among matches is known."""
    name = f"{metadata.namespace}/{metadata.name}"
    return (rank, metadata.creation_timestamp, name, rule, match)


def ordered(readings: Iterable[RouteReading]) -> tuple[Route, ...]:
    """The rules of several routes of one host, in the order in which they are to be tried."""
    every = [(each.precedence, r.ref.kind, each.route) for r in readings for each in r.ranked]
    return tuple(route for *_, route in sorted(every, key=itemgetter(0, 1)))


def forwarded(
    shares: tuple[WeightedDestination, ...],
) -> tuple[WeightedDestination, ...] | DirectResponse:
    """The action of a rule with backends; requests get 500 where none of them leads anywhere or has a weight."""
    if any(share.destination.host and share.weight for share in shares):
        return shares
    return DirectResponse(status=500)
