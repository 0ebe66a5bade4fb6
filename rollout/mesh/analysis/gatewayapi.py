"""Routes of Gateway API: what is wrong with them under Istio's codes, and what they lead to, in sentences.

Whether Secrets hold what listeners name is not looked at: who may analyze need not read Secrets, and the Gateway's own
status says it.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.api.gatewayapi.references import GROUP, ParentReference
from rollout.mesh.analysis.finding import Code, Finding
from rollout.mesh.analysis.sharing import elsewhere, percent, shares_of
from rollout.mesh.analysis.world import World
from rollout.mesh.ingest.gatewayapi.mesh import SERVICE
from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY
from rollout.mesh.ingest.gatewayapi.reading import RouteReading
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import Route
from rollout.mesh.model.service import Service, service_host

_CODES = {
    "BackendNotFound": Code.MISSING_REFERENCE,
    "InvalidKind": Code.MISSING_REFERENCE,
    "NoMatchingParent": Code.MISSING_REFERENCE,
    "NoMatchingListenerHostname": Code.HOST_NOT_IN_GATEWAY,
    "UnsupportedValue": Code.INVALID,
}
"""Reasons of conditions for which Istio has a code; the others are on the route's status alone."""


def unreadable(world: World) -> Iterator[Finding]:
    """Objects that do not say what they may."""
    for ref, reason in world.feed.gateway_api.unreadable.items():
        yield Finding(code=Code.INVALID, ref=ref, field="spec", reason=reason, remedy="correct it")


def conditions(world: World) -> Iterator[Finding]:
    """What keeps routes, or some of their rules, from being in force at a parent."""
    for ref, statuses in world.feed.gateway_api.outcome.route_statuses.items():
        for status in statuses:
            for each in status.conditions:
                if (each.holds and each.type != "PartiallyInvalid") or each.reason not in _CODES:
                    continue
                yield Finding(
                    code=_CODES[each.reason],
                    ref=ref,
                    reason=f"at {_named(status.parent, ref.namespace)}: {each.message}",
                    remedy="correct the route, or what it refers to",
                )


def parents(world: World) -> Iterator[Finding]:
    """Gateways that routes name and that are not there: nobody says anything on the route's status."""
    for route in world.routes:
        for index, parent in enumerate(route.parents):
            ref = Ref(GATEWAY, parent.namespace or route.ref.namespace, parent.name)
            if (parent.group, parent.kind) == (GROUP, "Gateway") and ref not in world.gateways:
                yield Finding(
                    code=Code.MISSING_REFERENCE,
                    ref=route.ref,
                    field=f"spec.parentRefs[{index}]",
                    reason=f"{_named(parent, route.ref.namespace)} does not exist",
                    remedy="create it, or name one that does",
                )


def leading(world: World, service: Service, behind: frozenset[str]) -> Iterator[str]:
    """What is said of each route that leads to a service or has it as a parent.

    Of a pod, `behind` are the hosts that lead to it; where none of them gets anything, that is said.
    """
    for route in sorted(world.routes, key=lambda each: each.age):
        about = any(
            parent.kind == SERVICE
            and service_host(parent.namespace or route.ref.namespace, parent.name) == service.host
            for parent in route.parents
        )
        rules = {ranked.route.index: ranked.route for ranked in reversed(route.ranked)}
        if about or any(service.host in rule.destinations() for rule in rules.values()):
            yield from _route(world, route, service.host, dict(sorted(rules.items())), behind)


def _route(
    world: World,
    route: RouteReading,
    host: str,
    rules: dict[int, Route],
    behind: frozenset[str],
) -> Iterator[str]:
    at = ", ".join(_named(parent, route.ref.namespace) for parent in route.parents) or "nothing"
    hosts = f" for {', '.join(route.hostnames)}" if route.hostnames else ""
    yield f"  {route.ref.kind}: {route.ref.namespace}/{route.ref.name} through {at}{hosts}"
    reached = False
    for index, rule in rules.items():
        reached |= not behind.isdisjoint(rule.destinations())
        yield f"    Rule {index}: {_shares(rule, host)}"
    if behind and not reached:
        yield "    WARNING: none of its rules leads to this pod"
    yield from _remarks(world, route)


def _shares(rule: Route, host: str) -> str:
    if host in {share.destination.host for share in shares_of(rule)}:
        return f"weight {percent(shares_of(rule), host)}%"
    if any(mirror.destination.host == host for mirror in rule.mirrors):
        return "copies of requests"
    return elsewhere(rule)


def _remarks(world: World, route: RouteReading) -> Iterator[str]:
    """What its parents say of it, and which are not there."""
    said = world.feed.gateway_api.outcome.route_statuses.get(route.ref, ())
    for status in said:
        for each in status.conditions:
            warns = not each.holds or each.type == "PartiallyInvalid"
            if each.message:
                at = _named(status.parent, route.ref.namespace)
                yield f"    {'WARNING' if warns else 'Note'}: {at}: {each.message}"
    for finding in parents(world):
        if finding.ref == route.ref:
            yield f"    WARNING: {finding.reason}"


def _named(parent: ParentReference, namespace: str) -> str:
    """`Gateway shop/front, listener http`."""
    section = "port" if parent.kind == SERVICE else "listener"
    return ", ".join(
        filter(
            None,
            (
                f"{parent.kind} {parent.namespace or namespace}/{parent.name}",
                f"{section} {parent.section_name}" if parent.section_name else "",
                f"port {parent.port}" if parent.port else "",
            ),
        )
    )
