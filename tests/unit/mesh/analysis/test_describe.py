"""What is said of a pod behind a split: as the book's example of a version with a fifth of the requests."""

from __future__ import annotations

from rollout.mesh.analysis.describe import describe_pod, describe_service
from rollout.mesh.analysis.world import World
from tests.unit.mesh.analysis.test_analyze import Json, obj, pod, routes, service

HOST = "catalog.shop.svc.cluster.local"
SPLIT = routes("catalog", {"route": [
    {"destination": {"host": "catalog", "subset": f"version-v{n}"}, "weight": weight}
    for n, weight in ((1, 20), (2, 80))
]})  # fmt: skip
SUBSETS = obj("DestinationRule", "catalog", spec={"host": "catalog", "subsets": [
    {"name": f"version-v{n}", "labels": {"version": f"v{n}"}} for n in (1, 2)
]})  # fmt: skip
ONE = pod("catalog-1", app="catalog", version="v1")


def said(*more: Json) -> str:
    world = World([ONE, service("catalog", app="catalog"), SPLIT, *more], "rollout-system")
    return "\n".join(describe_pod(world, world.objects["Pod"][0]))


def test_a_pod_of_one_version_has_its_share() -> None:
    assert (
        said(SUBSETS)
        == """\
Pod: shop/catalog-1
  Ports: none named
  Proxy: yes
Service: shop/catalog
  Port: http 80, http, to 80
  DestinationRule: shop/catalog for catalog.shop.svc.cluster.local
    Matching subsets: version-v1
      (not matching: version-v2)
  VirtualService: shop/catalog through mesh
    Rule 0: weight 20%, subset version-v1"""
    )


def test_without_the_rule_the_subsets_are_said_to_miss() -> None:
    assert said().endswith("""\
  VirtualService: shop/catalog through mesh
    WARNING: rule 0 names subset version-v1, which no DestinationRule declares
    WARNING: rule 0 names subset version-v2, which no DestinationRule declares
    WARNING: none of its rules leads to this pod""")


def test_a_service_shows_all_shares() -> None:
    world = World([service("catalog", app="catalog"), SPLIT, SUBSETS], "rollout-system")
    lines = describe_service(world, world.registry.services[HOST])
    assert lines[-2:] == [
        "    Rule 0: weight 20%, subset version-v1",
        "    Rule 0: weight 80%, subset version-v2",
    ]


def test_a_pod_that_nothing_leads_to_is_warned_of() -> None:
    world = World([pod("lonely", proxy=False)], "rollout-system")
    lines = describe_pod(world, world.objects["Pod"][0])
    assert lines[2:] == [
        "  Proxy: no: its requests are not in the mesh",
        "WARNING: no Service selects it: nothing is routed to it",
    ]


def test_an_apex_whose_rules_lead_to_another_service_of_the_pod_is_no_warning() -> None:
    primary = service("catalog-primary", app="catalog")
    led = routes("catalog", {"route": [{"destination": {"host": "catalog-primary"}}]})
    world = World([ONE, service("catalog", app="catalog"), primary, led], "rollout-system")
    lines = describe_pod(world, world.objects["Pod"][0])
    assert "    Rule 0: to catalog-primary.shop.svc.cluster.local 100%" in lines
    assert "    Rule 0: weight 100%" in lines
    assert not any("WARNING" in line for line in lines)


def test_an_apex_whose_rules_lead_past_the_pod_is_one() -> None:
    led = routes("catalog", {"redirect": {"uri": "/"}}, {"route": [{"destination": {"host": "x"}}]})
    world = World([ONE, service("catalog", app="catalog"), led], "rollout-system")
    assert describe_pod(world, world.objects["Pod"][0])[-3:] == [
        "    Rule 0: answered by the proxy",
        "    Rule 1: to x.shop.svc.cluster.local 100%",
        "    WARNING: none of its rules leads to this pod",
    ]
