"""The statuses of Gateway API's objects, as they are to be written; None where what is there says the same."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from rollout.api.gatewayapi.references import GROUP, ParentReference
from rollout.mesh.ingest.gatewayapi.conditions import Condition, written
from rollout.mesh.ingest.gatewayapi.outcome import (
    CONTROLLER,
    ClassStatus,
    GatewayStatus,
    ParentStatus,
)

Json = Mapping[str, Any]
Status = dict[str, Any]

FEATURES = (
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayHTTPListenerIsolation",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
)
"""What of Gateway API is acted upon, by the names of its own list; sorted, as the specification asks."""


def class_status(obj: Json, found: ClassStatus, now: str) -> Status | None:
    """Of a GatewayClass."""
    old: Json = obj.get("status") or {}
    return _changed(
        old,
        {
            **old,
            "conditions": _merged(found.conditions, found.generation, old, now),
            "supportedFeatures": [{"name": name} for name in FEATURES],
        },
    )


def gateway_status(obj: Json, found: GatewayStatus, now: str) -> Status | None:
    """Of a Gateway, with each of its listeners."""
    old: Json = obj.get("status") or {}
    before = {each.get("name"): each for each in old.get("listeners") or ()}
    listeners = [
        {
            "name": each.name,
            "supportedKinds": [{"group": GROUP, "kind": kind} for kind in each.kinds],
            "attachedRoutes": each.attached,
            "conditions": written(
                each.conditions,
                found.generation,
                before.get(each.name, {}).get("conditions") or (),
                now,
            ),
        }
        for each in found.listeners
    ]
    addresses = [{"type": _address_type(each), "value": each} for each in found.addresses]
    desired = {
        **old,
        "conditions": _merged(found.conditions, found.generation, old, now),
        "addresses": addresses,
        "listeners": listeners,
    }
    return _changed(old, desired)


def route_status(obj: Json, found: Iterable[ParentStatus], now: str) -> Status | None:
    """Of a route: what others say of their parents stays as it is."""
    old: Json = obj.get("status") or {}
    parents = list(old.get("parents") or ())
    ours = [each for each in parents if each.get("controllerName") == CONTROLLER]
    others = [each for each in parents if each.get("controllerName") != CONTROLLER]
    told = []
    for each in found:
        reference = _reference(each.parent)
        before: Json = next(
            (p for p in ours if _same_parent(p.get("parentRef") or {}, reference)), {}
        )
        known = before.get("conditions") or ()
        conditions = written(each.conditions, each.generation, known, now)
        entry = {"parentRef": reference, "controllerName": CONTROLLER, "conditions": conditions}
        told.append(entry)
    if not told and not ours:
        return None
    return _changed(old, {**old, "parents": [*others, *told]})


def _merged(
    conditions: tuple[Condition, ...], generation: int, old: Json, now: str
) -> list[dict[str, Any]]:
    """Our conditions, and those of types that are not ours."""
    before = list(old.get("conditions") or ())
    types = {each.type for each in conditions}
    others = [each for each in before if each.get("type") not in types]
    return [*written(conditions, generation, before, now), *others]


def _changed(old: Json, desired: Status) -> Status | None:
    return None if old == desired else desired


def _reference(parent: ParentReference) -> dict[str, Any]:
    """As the user wrote it, with the defaults of the API."""
    return {"group": parent.group, "kind": parent.kind, **parent.dump()}


def _same_parent(one: Json, other: Json) -> bool:
    keys = ("group", "kind", "namespace", "name", "sectionName", "port")
    return all(one.get(key) == other.get(key) for key in keys)


def _address_type(address: str) -> str:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "Hostname"
    return "IPAddress"
