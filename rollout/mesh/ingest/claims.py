"""Whose a host is, where several objects declare it: Kubernetes' Service's, else the oldest ServiceEntry's.

Names that mean one Service (`name.namespace`) count as one host: proxies' routes take each but once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.mesh.ingest.serviceentries import Declared
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import DOMAIN, Service

_SERVICE = "Service"


@dataclass(frozen=True, slots=True)
class _Claim:
    ref: Ref
    declared: Declared

    @property
    def rank(self) -> tuple[bool, str, Ref]:
        return (self.ref.kind != _SERVICE, self.declared.service.created, self.ref)


class Claims:
    """Puts hosts into a registry, each by whoever has it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._claims: dict[str, dict[Ref, _Claim]] = {}
        self._names: dict[Ref, frozenset[str]] = {}

    def put(self, ref: Ref, found: Mapping[str, Declared]) -> None:
        """These hosts, and no others, are what an object declares."""
        by_name = {_full(host): _Claim(ref, each) for host, each in found.items()}
        before = self._names.pop(ref, frozenset())
        for name in before | by_name.keys():
            claims = self._claims.setdefault(name, {})
            gone = claims.pop(ref, None)
            if name in by_name:
                claims[ref] = by_name[name]
            self._settle(name, gone)
        if by_name:
            self._names[ref] = frozenset(by_name)

    def service(self, ref: Ref, host: str, service: Service | None) -> None:
        """A Service, whose endpoints are told apart, came, changed or (None) went."""
        self.put(ref, {host: Declared(service, {})} if service is not None else {})

    def _settle(self, name: str, gone: _Claim | None) -> None:
        claims = self._claims[name]
        winner = min(claims.values(), key=lambda claim: claim.rank, default=None)
        host = winner.declared.service.host if winner is not None else ""
        for other in (*claims.values(), *((gone,) if gone else ())):
            lost = other.declared.service.host
            if lost != host:
                self._registry.set_service(lost, None)
                self._registry.set_endpoints(lost, {})
        if winner is None:
            del self._claims[name]
            return
        self._registry.set_service(host, winner.declared.service)
        if winner.ref.kind != _SERVICE:
            self._registry.set_endpoints(host, winner.declared.endpoints)

    def conflicts(self) -> dict[Ref, tuple[Problem, ...]]:
        """Hosts that others have."""
        found: dict[Ref, list[Problem]] = {}
        for claims in self._claims.values():
            if len(claims) == 1:
                continue
            winner, *losers = sorted(claims.values(), key=lambda claim: claim.rank)
            for loser in losers:
                reason = f"{loser.declared.service.host} is declared by {winner.ref}, which takes precedence"
                problem = Problem(loser.ref, "spec.hosts", reason, "remove it from one of them")
                found.setdefault(loser.ref, []).append(problem)
        return {ref: tuple(problems) for ref, problems in found.items()}


def _full(host: str) -> str:
    parts = host.split(".")
    short = len(parts) == 2 or (len(parts) == 3 and parts[2] == "svc")
    return f"{parts[0]}.{parts[1]}.svc.{DOMAIN}" if short else host
