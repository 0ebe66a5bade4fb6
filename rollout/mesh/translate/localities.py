"""Which endpoints are near: groups of one locality (`region/zone/subzone`) each, with priority and weight.

Priorities count only together with outlier detection, as in Istio: nothing would ever lead away from the near ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.mesh.model.service import Endpoint
from rollout.mesh.model.traffic import LocalityRules, TrafficPolicy

_RULES = LocalityRules()
_PRECISION = 100
_ELSEWHERE = 3
"""The priority of other regions; those that another is preferred to come after them."""


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


def groups(ready: Sequence[Endpoint], traffic: TrafficPolicy, caller: str) -> list[Group]:
    """The groups as a caller in this locality sees them; without one all endpoints are equally near."""
    if not ready:
        return []
    if not caller or not applies(traffic):
        return [Group("", 0, _weight(ready), tuple(ready))]
    rules = _rules(traffic)
    by_locality: dict[str, list[Endpoint]] = {}
    for endpoint in ready:
        by_locality.setdefault(endpoint.locality, []).append(endpoint)
    for origin, shares in rules.distribute:
        if covers(origin, caller):
            return _distributed(by_locality, shares)
    if traffic.outlier is None:
        return [Group("", 0, _weight(ready), tuple(ready))]
    return _prioritized(by_locality, caller, dict(rules.failover))


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


def _prioritized(
    by_locality: dict[str, list[Endpoint]], caller: str, failover: dict[str, str]
) -> list[Group]:
    distances = {name: _distance(name, caller, failover) for name in by_locality}
    # Envoy wants priorities without a gap.
    places = {distance: place for place, distance in enumerate(sorted(set(distances.values())))}
    found = [
        Group(name, places[distances[name]], _weight(by_locality[name]), tuple(by_locality[name]))
        for name in by_locality
    ]
    return sorted(found, key=lambda group: (group.priority, group.locality))


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
