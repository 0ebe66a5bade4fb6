"""A route of somebody else's (`spec.routeRef`): in the rules that name both services, their weights are set; nothing else.

What is common to such routes, whatever made them, is here too: finding the two services in a rule of any kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollout.api.kinds import VIRTUAL_SERVICE, Kind
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.objects.services import Side, service_name
from rollout.delivery.routing.parents import not_accepted
from rollout.delivery.routing.router import Lookup, Split, Weights
from rollout.delivery.routing.takeover import whole
from rollout.kube.objects import Object

_SECTIONS = {VIRTUAL_SERVICE: ("http", "tcp", "tls")}


class ExistingRouter:
    """Sets the weights in a VirtualService, HTTPRoute or GRPCRoute that exists."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def kinds(self) -> tuple[Kind, ...]:
        """The route's."""
        return (self._kind,)

    def routes(self, canary: Object, seen: Lookup, split: Split) -> tuple[Apply, ...]:
        """The route with these weights; nothing where it is not there, or does not name both services."""
        served = self._served(canary, seen)
        if served is None:
            return ()
        spec = {
            section: [weighted(canary, rule, split.weights) for rule in rules]
            for section, rules in self._rules(served)
        }
        metadata = {
            "name": served["metadata"]["name"],
            "namespace": canary["metadata"]["namespace"],
            # A list is written whole: what others changed in it meanwhile must not be lost.
            "resourceVersion": served["metadata"]["resourceVersion"],
        }
        return (Apply(self._kind, whole(self._kind, metadata, spec)),)

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:
        """Those of the first rule that names both services."""
        served = self._served(canary, seen)
        rules = (rule for _, rules in self._rules(served) for rule in rules) if served else ()
        return next((found for rule in rules if (found := weights_of(canary, rule))), None)

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:  # noqa: ARG002 - it is not ours
        """Nothing: the route never was the canary's."""
        return ()

    def obstacle(self, canary: Object, seen: Lookup) -> str:
        """That the route is missing, does not name both services, or is not accepted."""
        name = _name(canary)
        what = f"{self._kind.kind} {name!r}"
        served = self._served(canary, seen)
        if served is None:
            namespace = canary["metadata"]["namespace"]
            return (
                f"spec.routeRef.name: there is no {what} in namespace {namespace!r}"
                " (create it, or correct the name)"
            )
        if not any(_pair(canary, rule) for _, rules in self._rules(served) for rule in rules):
            primary, other = (service_name(canary, s) for s in (Side.PRIMARY, Side.CANARY))
            return (
                f"spec.routeRef: no rule of {what} names both {primary} and {other}"
                " (add both, with weights 100 and 0, where their requests are routed)"
            )
        return not_accepted(self._kind, served)

    def _served(self, canary: Object, seen: Lookup) -> Object | None:
        return seen(self._kind, _name(canary))

    def _rules(self, served: Object) -> Iterator[tuple[str, list[Object]]]:
        spec = served.get("spec") or {}
        for section in _SECTIONS.get(self._kind, ("rules",)):
            if spec.get(section):
                yield section, spec[section]


def names_service(canary: Object, ref: Object, name: str) -> bool:
    """Whether a backend of a rule is the service of this name in the canary's namespace."""
    namespace = canary["metadata"]["namespace"]
    if destination := ref.get("destination"):
        short, _, rest = str(destination.get("host") or "").partition(".")
        return short == name and rest.partition(".")[0] in {"", namespace}
    return (
        ref.get("name") == name
        and (ref.get("kind") or "Service") == "Service"
        and (ref.get("namespace") or namespace) == namespace
    )


def weighted(canary: Object, rule: Object, weights: Weights) -> Object:
    """The rule with these weights of the two services, where it names both; all else as it is."""
    pair = _pair(canary, rule)
    if pair is None:
        return rule
    field, primary, other = pair
    refs = list(rule[field])
    refs[primary] = {**refs[primary], "weight": weights.primary}
    refs[other] = {**refs[other], "weight": weights.canary}
    return {**rule, field: refs}


def weights_of(canary: Object, rule: Object) -> Weights | None:
    """The weights of the two services in a rule that names both, where they are percentages, with the baseline's."""
    pair = _pair(canary, rule)
    if pair is None:
        return None
    field, primary, other = pair
    name = service_name(canary, Side.BASELINE)
    baseline = sum(_weight(ref) for ref in rule[field] if names_service(canary, ref, name))
    return Weights.read(_weight(rule[field][primary]), _weight(rule[field][other]), baseline)


def _weight(ref: Object) -> int:
    # Gateway API's default is 1, Istio's 0.
    value: Any = ref.get("weight")
    if value is None:
        return 0 if "destination" in ref else 1
    return int(value)


def _pair(canary: Object, rule: Object) -> tuple[str, int, int] | None:
    """The field with the backends and the places of the primary's and the canary's, where both are there."""
    field = "route" if "route" in rule else "backendRefs"
    places = []
    for side in (Side.PRIMARY, Side.CANARY):
        name = service_name(canary, side)
        found = [i for i, r in enumerate(rule.get(field) or ()) if names_service(canary, r, name)]
        if not found:
            return None
        places.append(found[0])
    return field, places[0], places[1]


def _name(canary: Object) -> str:
    return str(canary["spec"]["routeRef"]["name"])
