"""The shares of a rule's requests, in words. Knows neither whose rule it is nor why it is looked at."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.mesh.model.routing import Route, WeightedDestination

Shares = Sequence[WeightedDestination]


def shares_of(rule: Route) -> Shares:
    """Empty where the rule leads nowhere."""
    return rule.action if isinstance(rule.action, tuple) else ()


def percent(shares: Shares, host: str) -> int:
    """How much of the requests goes to a host."""
    total = sum(share.weight for share in shares)
    mine = sum(share.weight for share in shares if share.destination.host == host)
    if len(shares) == 1:
        return 100 if shares[0].destination.host == host else 0
    return round(100 * mine / total) if total else 0


def elsewhere(rule: Route) -> str:
    """Where a rule leads, as a whole."""
    shares = shares_of(rule)
    if not shares:
        return "answered by the proxy"
    hosts = dict.fromkeys(share.destination.host for share in shares)
    return "to " + ", ".join(f"{host or 'nowhere'} {percent(shares, host)}%" for host in hosts)
