"""The Services of Gateways: their ports stay where they are, and no two have one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollout.mesh.ingest.gatewayapi.exposure import addresses_of, exposed_by, services_for

PROXIES = {
    "metadata": {"namespace": "sys", "name": "istio-ingressgateway", "uid": "u"},
    "spec": {"type": "NodePort", "selector": {"istio": "ingressgateway"}},
}
NAMES = st.sampled_from([("a", "x"), ("a", "y.z"), ("b", "x"), ("b", "Ω")])
WANTED = st.dictionaries(NAMES, st.dictionaries(st.integers(1, 65535), st.booleans(), min_size=1))


def served(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As they come back from the API server."""
    stamp = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    return [{**each, "metadata": {**each["metadata"], **stamp}} for each in made]


def targets(made: list[dict[str, Any]]) -> dict[tuple[str, int], int]:
    return {
        (each["metadata"]["name"], port["port"]): port["targetPort"]
        for each in made
        for port in each["spec"]["ports"]
    }


@given(first=WANTED, then=WANTED)
def test_ports_are_kept_and_nobody_else_s(first: Any, then: Any) -> None:
    before = services_for(first, PROXIES, [])
    after = services_for(then, PROXIES, served(before))
    old, new = targets(before), targets(after)
    assert len(set(new.values())) == len(new) == sum(map(len, then.values()))
    assert all(new[key] == old[key] for key in old.keys() & new.keys())
    assert services_for(then, PROXIES, served(after)) == after


def test_of_two_with_one_port_the_older_keeps_it() -> None:
    made = services_for({("a", "x"): {80: False}, ("b", "x"): {80: False}}, PROXIES, [])
    first, second = served(made)
    second["spec"]["ports"][0]["targetPort"] = first["spec"]["ports"][0]["targetPort"]
    first["metadata"]["creationTimestamp"] = "2027-01-01T00:00:00Z"
    wanted = {("a", "x"): {80: False}, ("b", "x"): {80: False}}
    found = targets(services_for(wanted, PROXIES, [first, second]))
    name = second["metadata"]["name"]
    assert found[name, 80] == second["spec"]["ports"][0]["targetPort"]
    assert len(set(found.values())) == 2


def test_a_service_belongs_to_the_chart_s_and_is_exposed_as_it_is() -> None:
    (made,) = services_for({("a", "x"): {443: True}}, PROXIES, [])
    assert exposed_by(made) == "a/x"
    assert exposed_by(PROXIES) == ""
    assert made["metadata"]["ownerReferences"][0]["name"] == "istio-ingressgateway"
    assert made["spec"]["type"] == "NodePort"
    assert made["spec"]["ports"][0]["name"] == "https-443"


def test_addresses() -> None:
    balanced = {"spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"]}}
    assert addresses_of(balanced) == ()
    given = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "lb.example"}]}}
    assert addresses_of({**balanced, "status": given}) == ("1.2.3.4", "lb.example")
    assert addresses_of({"spec": {"clusterIPs": ["10.0.0.1"]}}) == ("10.0.0.1",)
