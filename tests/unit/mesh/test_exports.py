"""Who sees an object that is exported to some namespaces only, and whose a host is that several declare."""

from __future__ import annotations

from typing import Any

import pytest

from tests.meshworld import World, messages

Json = dict[str, Any]
NAMESPACES = ("shop", "friend", "stranger")


def istio(kind: str, name: str, spec: Json, created: str = "2026-01-02T00:00:00Z") -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": created},
        "spec": spec,
    }


def service(name: str, exported: str = "", port: str = "http") -> Json:
    annotations = {"networking.istio.io/exportTo": exported} if exported else {}
    return {
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": name, "annotations": annotations},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": port, "port": 80}]},
    }


def entry(name: str, host: str, created: str = "2026-01-02T00:00:00Z", **more: Any) -> Json:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    return istio(
        "ServiceEntry", name, {"hosts": [host], "resolution": "DNS", "ports": ports} | more, created
    )


def leads_to(world: World, namespace: str, host: str) -> str:
    """The cluster that a namespace's requests to a host go to."""
    view = world.view(world.proxy("sidecar", namespace, "web"))
    (routes,) = messages(view, "routes").values()
    for each in routes.virtual_hosts:
        if host in each.domains:
            return str(each.routes[0].route.cluster)
    return ""


@pytest.mark.parametrize(
    ("export_to", "seen"),
    [
        (["*"], {"shop", "friend", "stranger"}),
        ([], {"shop", "friend", "stranger"}),
        (["."], {"shop"}),
        (["friend"], {"friend"}),
        ([".", "friend"], {"shop", "friend"}),
        (["~"], set()),
    ],
)
def test_export_to(export_to: list[str], seen: set[str]) -> None:
    route = {"route": [{"destination": {"host": "two"}}]}
    host = "one.shop.svc.cluster.local"
    world = World([
        service("one"), service("two"), service("hidden", ",".join(export_to)), service("bytes", ",".join(export_to), "tcp"),
        istio("VirtualService", "v", {"hosts": ["one"], "http": [route], "exportTo": export_to}),
        istio("DestinationRule", "d", {"host": "two", "subsets": [{"name": "s"}], "exportTo": export_to}),
        entry("e", "out.example.com", exportTo=export_to),
    ])  # fmt: skip
    routed = {
        ns for ns in NAMESPACES if leads_to(world, ns, host).endswith("two.shop.svc.cluster.local")
    }
    plain = {ns for ns in NAMESPACES if leads_to(world, ns, host) == f"outbound|80||{host}"}
    assert (routed, plain) == (seen, set(NAMESPACES) - seen)
    views = {ns: world.view(world.proxy("sidecar", ns, "web")) for ns in NAMESPACES}

    def having(cluster: str) -> set[str]:
        return {ns for ns, view in views.items() if cluster in messages(view, "clusters")}

    assert having("outbound|80|s|two.shop.svc.cluster.local") == seen
    assert having("outbound|80||hidden.shop.svc.cluster.local") == seen
    assert having("outbound|80||out.example.com") == seen
    assert {ns for ns in NAMESPACES if leads_to(world, ns, "hidden.shop.svc.cluster.local")} == seen
    assert {ns for ns in NAMESPACES if leads_to(world, ns, "out.example.com")} == seen
    assert {
        ns for ns, view in views.items() if "10.0.0.1_80" in messages(view, "listeners")
    } == seen


def test_one_that_nobody_else_sees_does_not_hide_an_older_one() -> None:
    def to(host: str, name: str, created: str, *export_to: str) -> Json:
        route = {"route": [{"destination": {"host": host}}]}
        return istio(
            "VirtualService",
            name,
            {"hosts": ["one"], "http": [route], "exportTo": list(export_to)},
            created,
        )

    world = World([
        service("one"), service("two"), service("three"),
        to("two", "private", "2026-01-01T00:00:00Z", "friend"), to("three", "public", "2026-01-05T00:00:00Z"),
    ])  # fmt: skip
    host = "one.shop.svc.cluster.local"
    assert leads_to(world, "friend", host) == "outbound|80||two.shop.svc.cluster.local"
    assert leads_to(world, "stranger", host) == "outbound|80||three.shop.svc.cluster.local"
    world.remove(to("two", "private", "", "friend"))
    assert leads_to(world, "friend", host) == "outbound|80||three.shop.svc.cluster.local"


OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("objects", "host", "owner", "loser"),
    [
        ([entry("a", "x.example.com", YOUNG), entry("b", "x.example.com", OLD)], "x.example.com", "b", "a"),
        ([service("one"), entry("a", "one.shop.svc.cluster.local")], "one.shop.svc.cluster.local", "", "a"),
        ([entry("a", "one.shop"), service("one")], "one.shop", "", "a"),
    ],
    ids=["the older", "a Service", "a Service by its short name"],
)  # fmt: skip
def test_a_host_has_one_owner(objects: list[Json], host: str, owner: str, loser: str) -> None:
    world = World(objects)
    assert leads_to(world, "shop", host)
    ((ref, problems),) = world.feed.conflicts().items()
    assert ref.name == loser
    assert problems[0].field == "spec.hosts"
    for each in objects:
        if each["metadata"]["name"] in {owner, "one"}:
            world.remove(each)
    assert leads_to(world, "shop", host) == f"outbound|80||{host}"
    assert world.feed.conflicts() == {}


def test_what_a_service_entry_has_in_vain_is_said() -> None:
    problems = World(
        [entry("a", "x.example.com", workloadSelector={"labels": {"a": "b"}})]
    ).problems()
    assert [problem.field for problem in problems] == ["spec.workloadSelector"]


def test_an_entry_that_istio_refuses_leaves_the_last_good_one() -> None:
    world = World([entry("a", "x.example.com")])
    world.put(entry("a", "*.example.com"))
    assert leads_to(world, "shop", "x.example.com") == "outbound|80||x.example.com"
    (problem,) = world.problems()
    assert problem.reason == "is a wildcard, which the DNS does not resolve"
