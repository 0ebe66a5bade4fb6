"""The services of a canary: the apex that clients call, one for each side, and one for the baseline where there is one.

Shape, labels and selectors are Flagger's contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from rollout.api.kinds import SERVICE
from rollout.delivery.actions import Apply
from rollout.delivery.objects.metadata import (
    baseline_name,
    canary_name,
    is_controlled_by,
    left_alone,
    owned_metadata,
    primary_name,
)
from rollout.kube.objects import Object

_SIDECARS = frozenset({"istio-proxy", "envoy"})


class Side(Enum):
    """Which of the services; the value is its key below `spec.service`, where it has one."""

    APEX = "apex"
    PRIMARY = "primary"
    CANARY = "canary"
    BASELINE = "baseline"


def apex_name(canary: Object) -> str:
    """The name that clients use: `spec.service.name`, or the target's."""
    spec = canary["spec"]
    return str((spec.get("service") or {}).get("name") or spec["targetRef"]["name"])


def service_name(canary: Object, side: Side) -> str:
    """The name of one of the services."""
    apex = apex_name(canary)
    return {
        Side.APEX: apex,
        Side.PRIMARY: primary_name(apex),
        Side.CANARY: canary_name(apex),
        Side.BASELINE: baseline_name(apex),
    }[side]


def _selected(side: Side, value: str) -> str:
    """The value of the label that its pods have."""
    match side:
        case Side.CANARY:
            return value
        case Side.BASELINE:
            return baseline_name(value)
        case Side.APEX | Side.PRIMARY:
            return primary_name(value)


def service(
    canary: Object,
    side: Side,
    label: tuple[str, str],
    target: Object,
    observed: Object | None,
    apex: Object | None = None,
) -> Apply:
    """One of the services as it should be; a service that was there before keeps its metadata.

    Ports that an `apex` service of somebody else's has besides are those of all.
    """
    shape, (label_name, label_value) = canary["spec"]["service"], label
    name = service_name(canary, side)
    spec: Object = {
        "selector": {label_name: _selected(side, label_value)},
        "ports": _with_node_ports(_with_kept(_ports(shape, target), canary, apex), observed),
    }
    if distribution := shape.get("trafficDistribution"):
        spec["trafficDistribution"] = distribution
    if observed is None:
        spec["type"] = "ClusterIP"
        if shape.get("headless"):
            spec["clusterIP"] = "None"  # immutable, so only at creation
    if observed is None or is_controlled_by(observed, canary):
        custom = shape.get(side.value) or {}
        metadata = owned_metadata(
            canary,
            name,
            {**(custom.get("labels") or {}), label_name: name},
            custom.get("annotations") or {},
        )
    else:
        metadata = {"name": name, "namespace": canary["metadata"]["namespace"]}
    desired = {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": left_alone(canary, metadata, observed),
        "spec": spec,
    }
    return Apply(SERVICE, desired, exact=("spec.selector",))


def _ports(shape: Object, target: Object) -> list[Object]:
    port: Object = {
        "name": shape.get("portName") or "http",
        "protocol": "TCP",
        "port": shape["port"],
        "targetPort": shape.get("targetPort") or shape["port"],
    }
    if protocol := shape.get("appProtocol"):
        port["appProtocol"] = protocol
    found = _discovered_ports(shape, target) if shape.get("portDiscovery") else ()
    return [port, *found]


def _discovered_ports(shape: Object, target: Object) -> Iterable[Object]:
    taken = {shape["port"], shape.get("targetPort"), shape.get("portName") or "http"}
    for container in target["spec"]["template"]["spec"].get("containers") or ():
        if container["name"] in _SIDECARS:
            continue
        for i, port in enumerate(container.get("ports") or ()):
            number = port["containerPort"]
            name = port.get("name") or f"tcp-{container['name']}-{i}"
            if taken & {number, name}:
                continue
            taken |= {number, name}
            yield {"name": name, "protocol": "TCP", "port": number, "targetPort": number}


def _with_kept(ports: list[Object], canary: Object, apex: Object | None) -> list[Object]:
    if apex is None or is_controlled_by(apex, canary):
        return ports
    found = list(ports)
    for served in (apex.get("spec") or {}).get("ports") or ():
        port = {k: v for k, v in served.items() if k != "nodePort"}
        protocol = port.setdefault("protocol", "TCP")
        # Among several, each has to have a name.
        port.setdefault("name", f"{protocol.lower()}-{port['port']}")
        if all(
            each["name"] != port["name"]
            and (each["port"], each["protocol"]) != (port["port"], protocol)
            for each in found
        ):
            found.append(port)
    return found


def _with_node_ports(ports: list[Object], observed: Object | None) -> list[Object]:
    served = ((observed or {}).get("spec") or {}).get("ports") or ()
    nodes = {port.get("name"): port["nodePort"] for port in served if port.get("nodePort")}
    return [
        {**port, "nodePort": nodes[port["name"]]} if port["name"] in nodes else port
        for port in ports
    ]
