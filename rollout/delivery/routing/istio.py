"""Routes as Istio knows them: one VirtualService for the apex, a DestinationRule for each side, and for the baseline.

The objects' shape is Flagger's contract. A VirtualService that was there before is taken over, its spec kept in an
annotation; what the canary does not speak of in it is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rollout.api.kinds import DESTINATION_RULE, VIRTUAL_SERVICE, Kind
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.affinity import Cookie
from rollout.delivery.objects.metadata import owned_metadata
from rollout.delivery.objects.services import Side, apex_name, service_name
from rollout.delivery.routing.router import TOTAL, Lookup, Split, Weights
from rollout.delivery.routing.takeover import given_back, route_metadata, whole
from rollout.kube.objects import Object

STICKY = "sticky-route"
"""Name of the rule for callers that stay with the canary, and of the one that takes their cookies back."""
_MESH = "mesh"
_PASSED_ON = ("rewrite", "timeout", "retries", "corsPolicy", "headers")
_EXACT = ("spec.hosts", "spec.gateways", "spec.http", "spec.tcp")


class IstioRouter:
    """Splits traffic by the weights of a VirtualService's destinations."""

    def kinds(self) -> tuple[Kind, ...]:
        """What it writes and reads."""
        return VIRTUAL_SERVICE, DESTINATION_RULE

    def routes(self, canary: Object, seen: Lookup, split: Split) -> tuple[Apply, ...]:
        """The DestinationRules first: a route must not name a host whose policy is not there yet."""
        baseline = (Side.BASELINE,) if split.weights.baseline else ()
        return (
            *(
                _destination_rule(canary, service_name(canary, side))
                for side in (Side.CANARY, Side.PRIMARY, *baseline)
            ),
            _virtual_service(canary, seen(VIRTUAL_SERVICE, apex_name(canary)), split),
        )

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:
        """The weights of the last route that knows the canary's service: the ones before it are for callers that stay."""
        served = seen(VIRTUAL_SERVICE, apex_name(canary))
        sides = (Side.PRIMARY, Side.CANARY, Side.BASELINE)
        primary, other, baseline = (service_name(canary, side) for side in sides)
        for route in reversed(list(_routes_of(served))):
            shares = {
                (destination.get("destination") or {}).get("host"): destination.get("weight", 0)
                for destination in route.get("route") or ()
            }
            if other in shares:
                return Weights.read(shares.get(primary, 0), shares[other], shares.get(baseline, 0))
        return None

    def obstacle(self, canary: Object, seen: Lookup) -> str:  # noqa: ARG002
        """Never any: proxies follow what is written."""
        return ""

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:
        """The VirtualService as kubectl last applied it, or as it was when it was taken over."""
        return given_back(VIRTUAL_SERVICE, canary, seen(VIRTUAL_SERVICE, apex_name(canary)))


def _destination_rule(canary: Object, name: str) -> Apply:
    spec = {"host": name}
    if policy := canary["spec"]["service"].get("trafficPolicy"):
        spec["trafficPolicy"] = policy
    metadata = owned_metadata(canary, name, {}, {})
    return Apply(DESTINATION_RULE, whole(DESTINATION_RULE, metadata, spec), exact=("spec",))


def _virtual_service(canary: Object, observed: Object | None, split: Split) -> Apply:
    shape = canary["spec"]["service"]
    name = apex_name(canary)
    spec = _unbound(observed) if shape.get("delegation") else _bindings(shape, name)
    if (shape.get("appProtocol") or "").lower() == "tcp":
        ports = [{"port": m["port"]} for m in shape.get("match") or () if m.get("port")]
        spec["tcp"] = [
            {**({"match": ports} if ports else {}), "route": _shares(canary, split.weights)}
        ]
    else:
        spec["http"] = http_rules(canary, split)
    metadata = route_metadata(canary, observed, name)
    return Apply(VIRTUAL_SERVICE, whole(VIRTUAL_SERVICE, metadata, spec), exact=_EXACT)


def http_rules(canary: Object, split: Split) -> list[Object]:
    """The rules, those of callers that stay where they are before the weights, those of bystanders last."""
    service = canary["spec"]["service"].get("match") or []
    analysis = canary["spec"]["analysis"].get("match") or []
    mine = both(list(map(comparable, analysis)), service)
    kept = split.affinity
    rules = []
    if kept.canary:
        everything = _shares(canary, Weights.of_canary(TOTAL))
        rules.append(_rule(canary, both(carrying(kept.canary), mine), everything, STICKY))
        if kept.primary:
            nothing = _shares(canary, Weights.of_canary(0))
            match = both(carrying(kept.primary), mine)
            rules.append(_rule(canary, match, nothing, f"{STICKY}-primary"))
    elif kept.previous:
        shares = _shares(canary, split.weights)
        _hand_out(shares[0], kept.previous)
        match = both(carrying(kept.previous), mine)
        rules.append(_mirrored(canary, _rule(canary, match, shares, STICKY), split))
    shares = _shares(canary, split.weights)
    if kept.canary:
        _hand_out(shares[1], kept.canary)
    if kept.primary:
        _hand_out(shares[0], kept.primary)
    rules.append(_mirrored(canary, _rule(canary, mine, shares), split))
    if analysis:
        bystanders = [_share(canary, service_name(canary, Side.PRIMARY), TOTAL)]
        rules.append(_rule(canary, service, bystanders))
    return rules


def both(first: list[Object], second: list[Object]) -> list[Object]:
    """Conditions under which one of each holds; where both speak of the same header, the first counts."""
    if not first or not second:
        return first or second
    return [_merged(one, other) for one in first for other in second]


def _merged(one: Object, other: Object) -> Object:
    found = {**other, **one}
    for field in ("headers", "queryParams", "sourceLabels"):
        if field in one and field in other:
            found[field] = {**other[field], **one[field]}
    return found


def comparable(match: Object) -> Object:
    """A condition of an analysis in Istio's words, which have no suffixes."""
    headers = {
        name: {"regex": f".*{re.escape(value['suffix'])}$"} if value.get("suffix") else value
        for name, value in (match.get("headers") or {}).items()
    }
    return {**match, **({"headers": headers} if headers else {})}


def carrying(cookie: Cookie) -> list[Object]:
    """The condition that a caller has this cookie."""
    return [{"headers": {"cookie": {"regex": cookie.pattern}}}]


def _hand_out(share: Object, cookie: Cookie) -> None:
    share["headers"] = {"response": {"add": {"Set-Cookie": cookie.header}}}


def _rule(canary: Object, match: list[Object], route: list[Object], name: str = "") -> Object:
    shape = canary["spec"]["service"]
    rule: Object = {"name": name} if name else {}
    if match:
        rule["match"] = match
    rule |= {field: shape[field] for field in _PASSED_ON if field in shape}
    if rewrite := rule.get("rewrite"):
        rule["rewrite"] = {k: v for k, v in rewrite.items() if k != "type"}
    return {**rule, "route": route}


def _mirrored(canary: Object, rule: Object, split: Split) -> Object:
    if not split.mirroring:
        return rule
    copies = _share(canary, service_name(canary, Side.CANARY), 0)["destination"]
    percent = canary["spec"]["analysis"].get("mirrorWeight")
    some = {"mirrorPercentage": {"value": percent}} if percent else {}
    return {**rule, "mirror": copies, **some}


def _unbound(observed: Object | None) -> Object:
    """A delegate has neither hosts nor gateways; those that it had as a route of its own go."""
    served = (observed or {}).get("spec") or {}
    return {field: None for field in ("hosts", "gateways") if field in served}


def _bindings(shape: Object, name: str) -> Object:
    hosts = list(shape.get("hosts") or ())
    if not {name, "*"} & set(hosts):
        hosts.append(name)
    return {"hosts": hosts, "gateways": list(shape.get("gateways") or (_MESH,))}


def _shares(canary: Object, weights: Weights) -> list[Object]:
    shares = [
        _share(canary, service_name(canary, Side.PRIMARY), weights.primary),
        _share(canary, service_name(canary, Side.CANARY), weights.canary),
    ]
    if weights.baseline:
        shares.append(_share(canary, service_name(canary, Side.BASELINE), weights.baseline))
    return shares


def _share(canary: Object, host: str, weight: int) -> Object:
    shape = canary["spec"]["service"]
    destination: Object = {"host": host}
    beyond_mesh = (shape.get("gateways") or (_MESH,))[0] != _MESH or shape.get("delegation")
    if shape.get("portDiscovery") and beyond_mesh:
        destination["port"] = {"number": shape["port"]}
    return {"destination": destination, "weight": weight}


def _routes_of(virtual_service: Object | None) -> Iterator[Object]:
    spec = (virtual_service or {}).get("spec") or {}
    yield from spec.get("http") or ()
    yield from spec.get("tcp") or ()
