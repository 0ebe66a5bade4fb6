"""Routes of Gateway API: an HTTPRoute for the apex, or a GRPCRoute where gRPC is spoken.

The objects' shape is Flagger's contract, but a route is never replaced whole. What others wrote into it stays: rules
that don't name the canary's services, filters and fields beside the canary's own. What was written last is noted in an
annotation, so that what the canary no longer says goes. In a route that was there before, services are all that changes,
as long as the canary needs no rules of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from rollout.api.kinds import GRPC_ROUTE, HTTP_ROUTE, Kind
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.objects.metadata import is_controlled_by
from rollout.delivery.objects.services import Side, apex_name, service_name
from rollout.delivery.routing.existing import names_service, weighted, weights_of
from rollout.delivery.routing.gatewayapi_rules import backends, rules
from rollout.delivery.routing.parents import not_accepted
from rollout.delivery.routing.router import TOTAL, Lookup, Split, Weights
from rollout.delivery.routing.takeover import given_back, route_metadata, whole
from rollout.kube.diff import merge_patch
from rollout.kube.objects import Object, annotations_of

APPLIED = "rollout.dev/applied-rule"
"""The annotation with the canary's last rule as it was written, but for the weights."""
_OWN_RULES = ("match", "mirror", "sessionAffinity")
_OURS = frozenset({"matches", "filters", "backendRefs"})


class GatewayApiRouter:
    """Splits traffic by the weights of a rule's backends."""

    def kinds(self) -> tuple[Kind, ...]:
        """What it writes and reads."""
        return HTTP_ROUTE, GRPC_ROUTE

    def routes(self, canary: Object, seen: Lookup, split: Split) -> tuple[Apply, ...]:
        """The route with this split."""
        kind = _kind(canary, seen)
        served = seen(kind, apex_name(canary))
        wanted = rules(kind, canary, split)
        metadata = route_metadata(canary, served, apex_name(canary))
        parents = list(canary["spec"]["service"].get("gatewayRefs") or ())
        hosts = list(canary["spec"]["service"].get("hosts") or ())
        if served is None:
            metadata["annotations"][APPLIED] = _stamp(wanted)
            found: Object = {"parentRefs": parents, "rules": wanted}
            if hosts:
                found["hostnames"] = hosts
            return (Apply(kind, whole(kind, metadata, found)),)
        # Lists are written whole: what others changed in them meanwhile must not be lost.
        metadata["resourceVersion"] = served["metadata"]["resourceVersion"]
        spec = served.get("spec") or {}
        mine = is_controlled_by(served, canary)
        if mine or any(canary["spec"]["analysis"].get(field) for field in _OWN_RULES):
            metadata.setdefault("annotations", {})[APPLIED] = _stamp(wanted)
            found = {"rules": _merged(canary, served, wanted)}
        else:
            found = {"rules": _shared_out(canary, spec.get("rules") or [], wanted, split.weights)}
        found["parentRefs"] = parents if mine else _with(spec.get("parentRefs") or [], parents)
        if mine or hosts:
            found["hostnames"] = hosts
        return (Apply(kind, whole(kind, metadata, found), exact=("spec.rules",)),)

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:
        """Those of the last rule that names both services: the ones before it are for callers that stay where they are."""
        served = seen(_kind(canary, seen), apex_name(canary))
        found = None
        for rule in ((served or {}).get("spec") or {}).get("rules") or ():
            found = weights_of(canary, rule) or found
        return found

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:
        """The route as kubectl last applied it, or as it was when it was taken over."""
        kind = _kind(canary, seen)
        return given_back(kind, canary, seen(kind, apex_name(canary)))

    def obstacle(self, canary: Object, seen: Lookup) -> str:
        """That a Gateway has not accepted the route as it is."""
        kind = _kind(canary, seen)
        served = seen(kind, apex_name(canary))
        return "" if served is None else not_accepted(kind, served)


def _kind(canary: Object, seen: Lookup) -> Kind:
    """An HTTPRoute that is there stays, also where gRPC is spoken: two routes of one host would compete."""
    protocol = (canary["spec"]["service"].get("appProtocol") or "").lower()
    grpc = protocol == "grpc" and seen(HTTP_ROUTE, apex_name(canary)) is None
    return GRPC_ROUTE if grpc else HTTP_ROUTE


def _stamp(wanted: list[Object]) -> str:
    base = wanted[-1]
    refs = [{k: v for k, v in ref.items() if k != "weight"} for ref in base["backendRefs"]]
    return json.dumps({**base, "backendRefs": refs}, sort_keys=True, separators=(",", ":"))


def _merged(canary: Object, served: Object, wanted: list[Object]) -> list[Object]:
    """The canary's rules in place of those that name its services, each with what others added to the last of them."""
    present: list[Object] = (served.get("spec") or {}).get("rules") or []
    ours = [i for i, rule in enumerate(present) if _names_any(canary, rule)]
    if not ours:
        return [*present, *wanted]
    applied = _applied(served)
    extended = _extended(wanted, present[ours[-1]], applied)
    others = [rule for i, rule in enumerate(present) if i not in ours]
    before = sum(i < ours[0] for i in range(len(present)) if i not in ours)
    found = [*others[:before], *extended, *others[before:]]
    if annotations_of(served).get(APPLIED) == _stamp(wanted) and _covers(found, present):
        return present
    return found


def _extended(wanted: list[Object], base: Object, applied: Object) -> list[Object]:
    known = [*(applied.get("filters") or ()), *(f for r in wanted for f in r.get("filters") or ())]
    filters = _foreign(base.get("filters") or (), known)
    fields = {
        name: value
        for name, value in base.items()
        if name not in _OURS | {"name"} and name not in applied
    }
    found = []
    for rule in wanted:
        extended = {**fields, **rule}
        if filters:
            extended["filters"] = [*(rule.get("filters") or ()), *filters]
        found.append(extended)
    if "name" in base:
        found[-1]["name"] = base["name"]
    found[-1]["backendRefs"] = [
        _with_filters(ref, base, applied) for ref in found[-1]["backendRefs"]
    ]
    return found


def _with_filters(ref: Object, base: Object, applied: Object) -> Object:
    known = [*(ref.get("filters") or ()), *_filters_of(applied, ref)]
    foreign = _foreign(_filters_of(base, ref), known)
    return {**ref, "filters": [*(ref.get("filters") or ()), *foreign]} if foreign else ref


def _filters_of(rule: Object, ref: Object) -> list[Object]:
    refs = rule.get("backendRefs") or ()
    return next((r.get("filters") or [] for r in refs if r.get("name") == ref["name"]), [])


def _foreign(filters: Iterable[Object], known: list[Object]) -> list[Object]:
    return [each for each in filters if not any(_covers(ours, each) for ours in known)]


def _shared_out(
    canary: Object, present: list[Object], wanted: list[Object], weights: Weights
) -> list[Object]:
    """Rules of somebody else's: where they name the apex service, its two sides take its place."""
    if not any(_names_any(canary, rule) for rule in present):
        return [*present, *wanted]
    own = (_with_baseline(canary, weighted(canary, rule, weights), weights) for rule in present)
    return [_sides_for_apex(canary, rule, weights) for rule in own]


def _with_baseline(canary: Object, rule: Object, weights: Weights) -> Object:
    """The rule with the baseline's service beside the other two, as long as it has requests."""
    sides = (Side.PRIMARY, Side.CANARY, Side.BASELINE)
    primary, other, name = (service_name(canary, side) for side in sides)
    refs: list[Object] = rule.get("backendRefs") or []
    kept = [ref for ref in refs if not names_service(canary, ref, name)]
    both = any(names_service(canary, ref, other) for ref in kept)
    model = next((ref for ref in kept if names_service(canary, ref, primary)), None)
    if weights.baseline and both and model is not None:
        kept.append({**model, "name": name, "weight": weights.baseline})
    return rule if kept == refs else {**rule, "backendRefs": kept}


def _sides_for_apex(canary: Object, rule: Object, weights: Weights) -> Object:
    apex = apex_name(canary)
    refs: list[Object] = rule.get("backendRefs") or []
    whole_share = next((_weight(ref) for ref in refs if names_service(canary, ref, apex)), None)
    if whole_share is None:
        return rule
    found: list[Object] = []
    for ref in refs:
        if names_service(canary, ref, apex):
            found += [
                {**side, **ref, "name": side["name"], "weight": side["weight"]}
                for side in backends(canary, weights)
            ]
        elif whole_share:
            found.append({**ref, "weight": round(_weight(ref) * TOTAL / whole_share)})
        else:
            found.append(ref)
    return {**rule, "backendRefs": found}


def _weight(ref: Object) -> int:
    return int(ref.get("weight", 1))


def _names_any(canary: Object, rule: Object) -> bool:
    names = [service_name(canary, side) for side in Side]
    refs = rule.get("backendRefs") or ()
    return any(names_service(canary, ref, name) for ref in refs for name in names)


def _applied(served: Object) -> Object:
    try:
        found = json.loads(annotations_of(served).get(APPLIED, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _with(present: list[Object], wanted: list[Object]) -> list[Object]:
    return [*present, *(each for each in wanted if not any(_covers(each, p) for p in present))]


def _covers(wanted: object, served: object) -> bool:
    return not merge_patch({"it": wanted}, {"it": served})
