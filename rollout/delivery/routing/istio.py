"""Weighted routes as Istio knows them: one VirtualService for the apex, a DestinationRule for each side.

The objects' shape is Flagger's contract. A VirtualService that was there before is taken over, its spec kept in an
annotation; what the canary does not speak of in it is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from rollout.api.kinds import DESTINATION_RULE, VIRTUAL_SERVICE, Kind
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.objects.metadata import (
    LAST_APPLIED,
    ORIGINAL_CONFIGURATION,
    is_controlled_by,
    owned_metadata,
)
from rollout.delivery.objects.services import Side, apex_name, service_name
from rollout.delivery.routing.router import TOTAL, Lookup, Split, Weights
from rollout.kube.objects import Object, annotations_of

_MESH = "mesh"
_PASSED_ON = ("match", "rewrite", "timeout", "retries", "corsPolicy", "headers")
_EXACT = ("spec.hosts", "spec.gateways", "spec.http", "spec.tcp")


class IstioRouter:
    """Splits traffic by the weights of a VirtualService's destinations."""

    def kinds(self) -> tuple[Kind, ...]:
        """What it writes and reads."""
        return VIRTUAL_SERVICE, DESTINATION_RULE

    def routes(self, canary: Object, seen: Lookup, split: Split) -> tuple[Apply, ...]:
        """Both DestinationRules first: a route must not name a host whose policy is not there yet."""
        return (
            _destination_rule(canary, service_name(canary, Side.CANARY)),
            _destination_rule(canary, service_name(canary, Side.PRIMARY)),
            _virtual_service(canary, seen(VIRTUAL_SERVICE, apex_name(canary)), split),
        )

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:
        """The weights of the first route that knows the canary's service."""
        served = seen(VIRTUAL_SERVICE, apex_name(canary))
        primary, other = service_name(canary, Side.PRIMARY), service_name(canary, Side.CANARY)
        for route in _routes_of(served):
            shares = {
                (destination.get("destination") or {}).get("host"): destination.get("weight", 0)
                for destination in route.get("route") or ()
            }
            if other in shares:
                found = shares.get(primary, 0), shares[other]
                return Weights(*found) if sum(found) == TOTAL and min(found) >= 0 else None
        return None

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:
        """The VirtualService as kubectl last applied it, or as it was when it was taken over."""
        name = apex_name(canary)
        served = seen(VIRTUAL_SERVICE, name)
        if served is None:
            return ()
        if is_controlled_by(served, canary):
            return (Delete(VIRTUAL_SERVICE, name),)
        spec = _original_spec(served)
        if spec is None:
            return ()
        metadata = {
            "name": name,
            "namespace": canary["metadata"]["namespace"],
            "annotations": {ORIGINAL_CONFIGURATION: None},
        }
        return (Apply(VIRTUAL_SERVICE, _object(VIRTUAL_SERVICE, metadata, spec), exact=("spec",)),)


def _destination_rule(canary: Object, name: str) -> Apply:
    spec = {"host": name}
    if policy := canary["spec"]["service"].get("trafficPolicy"):
        spec["trafficPolicy"] = policy
    metadata = owned_metadata(canary, name, {}, {})
    return Apply(DESTINATION_RULE, _object(DESTINATION_RULE, metadata, spec), exact=("spec",))


def _virtual_service(canary: Object, observed: Object | None, split: Split) -> Apply:
    shape = canary["spec"]["service"]
    name = apex_name(canary)
    weights = split.weights
    destinations = [
        _destination(canary, service_name(canary, Side.PRIMARY), weights.primary),
        _destination(canary, service_name(canary, Side.CANARY), weights.canary),
    ]
    spec: Object = {} if shape.get("delegation") else _bindings(shape, name)
    if (shape.get("appProtocol") or "").lower() == "tcp":
        ports = [{"port": m["port"]} for m in shape.get("match") or () if m.get("port")]
        spec["tcp"] = [{**({"match": ports} if ports else {}), "route": destinations}]
    else:
        passed_on = {field: shape[field] for field in _PASSED_ON if field in shape}
        if rewrite := passed_on.get("rewrite"):
            passed_on["rewrite"] = {k: v for k, v in rewrite.items() if k != "type"}
        spec["http"] = [{**passed_on, "route": destinations}]
    metadata = _virtual_service_metadata(canary, observed, name)
    return Apply(VIRTUAL_SERVICE, _object(VIRTUAL_SERVICE, metadata, spec), exact=_EXACT)


def _bindings(shape: Object, name: str) -> Object:
    hosts = list(shape.get("hosts") or ())
    if not {name, "*"} & set(hosts):
        hosts.append(name)
    return {"hosts": hosts, "gateways": list(shape.get("gateways") or (_MESH,))}


def _virtual_service_metadata(canary: Object, observed: Object | None, name: str) -> Object:
    custom = canary["spec"]["service"].get("apex") or {}
    if observed is None or is_controlled_by(observed, canary):
        return owned_metadata(
            canary, name, custom.get("labels") or {}, custom.get("annotations") or {}
        )
    metadata: Object = {"name": name, "namespace": canary["metadata"]["namespace"]}
    annotations = annotations_of(observed)
    if not {LAST_APPLIED, ORIGINAL_CONFIGURATION} & annotations.keys():
        metadata["annotations"] = {
            ORIGINAL_CONFIGURATION: json.dumps(observed.get("spec") or {}, sort_keys=True)
        }
    return metadata


def _destination(canary: Object, host: str, weight: int) -> Object:
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


def _original_spec(served: Object) -> Object | None:
    annotations = annotations_of(served)
    try:
        if LAST_APPLIED in annotations:
            spec = json.loads(annotations[LAST_APPLIED])["spec"]
        elif ORIGINAL_CONFIGURATION in annotations:
            spec = json.loads(annotations[ORIGINAL_CONFIGURATION])
        else:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return spec if isinstance(spec, dict) else None


def _object(kind: Kind, metadata: Object, spec: Object) -> Object:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata,
        "spec": spec,
    }
