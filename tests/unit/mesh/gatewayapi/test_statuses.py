"""Statuses as they are written: once, with the times of changes, and without touching what others say."""

from __future__ import annotations

from typing import Any

from rollout.api.gatewayapi.references import ParentReference
from rollout.mesh.ingest.gatewayapi.conditions import (
    ACCEPTED,
    PROGRAMMED,
    RESOLVED,
    Condition,
    unresolved,
)
from rollout.mesh.ingest.gatewayapi.outcome import (
    CONTROLLER,
    ClassStatus,
    GatewayStatus,
    ListenerStatus,
    ParentStatus,
)
from rollout.mesh.ingest.gatewayapi.statuses import (
    FEATURES,
    class_status,
    gateway_status,
    route_status,
)

PARENT = ParentReference(name="front", section_name="http")
THEIRS = {"controllerName": "other.io/c", "parentRef": {"name": "theirs"}, "conditions": []}


def condition(found: Condition, since: str, generation: int = 1) -> dict[str, Any]:
    return {
        "type": found.type,
        "status": "True" if found.holds else "False",
        "reason": found.reason,
        "message": found.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def test_a_route_s_other_parents_stay() -> None:
    obj = {"metadata": {}, "status": {"parents": [THEIRS]}}
    first = route_status(obj, [ParentStatus(1, PARENT, (ACCEPTED, RESOLVED))], "t1")
    ours = {
        "parentRef": {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": "front",
            "sectionName": "http",
        },
        "controllerName": CONTROLLER,
        "conditions": [condition(ACCEPTED, "t1"), condition(RESOLVED, "t1")],
    }
    assert first == {"parents": [THEIRS, ours]}
    obj = {"metadata": {}, "status": first}
    assert route_status(obj, [ParentStatus(1, PARENT, (ACCEPTED, RESOLVED))], "t2") is None
    lost = unresolved("BackendNotFound", "gone")
    then = route_status(obj, [ParentStatus(2, PARENT, (ACCEPTED, lost))], "t3")
    assert then is not None
    assert then["parents"][1]["conditions"] == [
        condition(ACCEPTED, "t1", 2), condition(lost, "t3", 2),
    ]  # fmt: skip
    assert route_status(obj, [], "t4") == {"parents": [THEIRS]}


def test_a_route_that_is_nobody_s_is_left_alone() -> None:
    assert route_status({"metadata": {}, "status": {"parents": [THEIRS]}}, [], "t") is None
    assert route_status({"metadata": {}}, [], "t") is None


def test_a_gateway_s_listeners() -> None:
    listener = ListenerStatus(name="http", kinds=("HTTPRoute",), attached=2, conditions=(ACCEPTED,))
    found = GatewayStatus(
        generation=1,
        conditions=(ACCEPTED,),
        addresses=("10.0.0.9", "lb.example"),
        listeners=(listener,),
    )
    obj = {"metadata": {}, "status": {"conditions": [{"type": "Theirs"}]}}
    status = gateway_status(obj, found, "t1")
    assert status is not None
    assert status["conditions"] == [condition(ACCEPTED, "t1"), {"type": "Theirs"}]
    assert status["addresses"] == [
        {"type": "IPAddress", "value": "10.0.0.9"},
        {"type": "Hostname", "value": "lb.example"},
    ]
    (written,) = status["listeners"]
    assert (written["attachedRoutes"], len(written["supportedKinds"])) == (2, 1)
    assert gateway_status({"metadata": {}, "status": status}, found, "t2") is None


def test_a_class_says_what_is_supported_in_order() -> None:
    status = class_status({"metadata": {}}, ClassStatus(1, (ACCEPTED,)), "t")
    assert status is not None
    assert [each["name"] for each in status["supportedFeatures"]] == sorted(FEATURES)


def test_a_gateway_that_proxies_refuse_is_not_programmed() -> None:
    found = GatewayStatus(generation=1, conditions=(ACCEPTED, PROGRAMMED)).refused(
        "http.20080: bad"
    )
    assert [(each.type, each.holds) for each in found.conditions] == [
        ("Accepted", True),
        ("Programmed", False),
    ]
    assert found.conditions[1].message == "http.20080: bad"
