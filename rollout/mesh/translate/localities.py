"""Which endpoints are near: groups of one locality (`region/zone/subzone`) each, with priority and weight.

Near is what a rule's labels say, else the localities. Priorities count only together with outlier detection, as in Istio: nothing would ever lead away from the near ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.mesh.model.balancing import LocalityRules
from rollout.mesh.model.service import Endpoint
from rollout.mesh.model.traffic import TrafficPolicy

_RULES = LocalityRules()
_PRECISION = 100
_ELSEWHERE = 3
"""The priority of other regions; those that another is preferred to come after them."""


_TOPOLOGY = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
)


@dataclass(frozen=True, slots=True)
class Standpoint:
    """From where endpoints are seen: a locality, and labels of the caller that rules compare."""

    locality: str = ""
    labels: frozenset[tuple[str, str]] = frozenset()


NOWHERE = Standpoint()


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints of one locality; the empty one stands for any."""

    locality: str
    priority: int
    weight: int
    endpoints: tuple[Endpoint, ...]


def applies(traffic: TrafficPolicy) -> bool:
    """Whether it matters where the caller is."""
    rules = _rules(traffic)
    return rules.enabled and (bool(rules.distribute) or traffic.outlier is not None)


def groups(ready: Sequence[Endpoint], traffic: TrafficPolicy, caller: Standpoint) -> list[Group]:
    """The groups as a caller sees them; all endpoints are equally near where nothing is known of its place."""
    if not ready:
        return []
    rules = _rules(traffic)
    alike = equally_near(ready)
    if not applies(traffic):
        return alike
    if rules.priority:
        return alike if traffic.outlier is None else _compared(ready, caller, rules.priority)
    if not caller.locality:
        return alike
    by_locality: dict[str, list[Endpoint]] = {}
    for endpoint in ready:
        by_locality.setdefault(endpoint.locality, []).append(endpoint)
    for origin, shares in rules.distribute:
        if covers(origin, caller.locality):
            return _distributed(by_locality, shares)
    if traffic.outlier is None:
        return alike
    failover = dict(rules.failover)
    return _prioritized(
        {
            (_distance(name, caller.locality, failover), name): there
            for name, there in by_locality.items()
        }
    )


def equally_near(ready: Sequence[Endpoint]) -> list[Group]:
    """One group of them all."""
    return [Group("", 0, _weight(ready), tuple(ready))] if ready else []


def _weight(endpoints: Sequence[Endpoint]) -> int:
    return sum(endpoint.weight for endpoint in endpoints)


def _rules(traffic: TrafficPolicy) -> LocalityRules:
    return traffic.balancer.locality if traffic.balancer is not None else _RULES


def covers(pattern: str, locality: str) -> bool:
    """Whether `region/zone/*`, `region/*`, `*` or a whole locality takes this one in."""
    wanted, given = pattern.split("/"), locality.split("/")
    for index, part in enumerate(wanted):
        if part == "*":
            return True
        if index >= len(given) or part != given[index]:
            return False
    return True


def _distributed(
    by_locality: dict[str, list[Endpoint]], shares: tuple[tuple[str, int], ...]
) -> list[Group]:
    """Shares among the localities that they name, within each by number; a locality without a share gets nothing."""
    found: dict[str, Group] = {}
    # The narrowest first, so that a wildcard takes what is left.
    for pattern, share in sorted(shares, key=lambda each: (-len(each[0].rstrip("*")), each[0])):
        taken = [
            name for name in sorted(by_locality) if name not in found and covers(pattern, name)
        ]
        total = sum(_weight(by_locality[name]) for name in taken)
        for name in taken:
            weight = share * _PRECISION * _weight(by_locality[name]) // total
            found[name] = Group(name, 0, weight, tuple(by_locality[name]))
    return [found[name] for name in sorted(found) if found[name].weight]


def _compared(
    ready: Sequence[Endpoint], caller: Standpoint, wanted: Sequence[tuple[str, str | None]]
) -> list[Group]:
    """By how many of the labels, from the first on, are as they are wanted; nothing on both sides is the same."""
    own = dict(caller.labels) | _topology(caller.locality)
    asked = [(name, own.get(name, "") if value is None else value) for name, value in wanted]
    found: dict[tuple[int, str], list[Endpoint]] = {}
    for endpoint in ready:
        theirs = dict(endpoint.labels) | _topology(endpoint.locality)
        equal = (theirs.get(name, "") == value for name, value in asked)
        held = next((count for count, same in enumerate(equal) if not same), len(asked))
        found.setdefault((len(asked) - held, endpoint.locality), []).append(endpoint)
    return _prioritized(found)


def _topology(locality: str) -> dict[str, str]:
    return {name: part for name, part in zip(_TOPOLOGY, parts(locality), strict=True) if part}


def _prioritized(found: dict[tuple[int, str], list[Endpoint]]) -> list[Group]:
    """Groups of the endpoints by distance and locality."""
    # Envoy wants priorities without a gap.
    places = {far: place for place, far in enumerate(sorted({far for far, _ in found}))}
    return [
        Group(name, places[far], _weight(found[far, name]), tuple(found[far, name]))
        for far, name in sorted(found)
    ]


def _distance(locality: str, caller: str, failover: dict[str, str]) -> int:
    region, zone, subzone = parts(locality)
    own_region, own_zone, own_subzone = parts(caller)
    if region != own_region:
        preferred = failover.get(own_region)
        return _ELSEWHERE if preferred in {None, region} else _ELSEWHERE + 1
    if zone != own_zone:
        return 2
    return 0 if subzone == own_subzone else 1


def parts(locality: str) -> tuple[str, str, str]:
    """Region, zone and subzone; empty where nothing is known."""
    region, _, rest = locality.partition("/")
    zone, _, subzone = rest.partition("/")
    return region, zone, subzone
