"""Rules for some callers only: who has them, by labels and namespace, and that all others share what they had."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.translate.views import View
from tests.meshworld import World, messages

SERVICE = {
    "kind": "Service",
    "metadata": {"namespace": "shop", "name": "catalog"},
    "spec": {
        "clusterIP": "10.96.0.2",
        "selector": {"app": "catalog"},
        "ports": [{"name": "http", "port": 80}],
    },
}


def rules(*conditions: dict[str, Any]) -> dict[str, Any]:
    """One rule to `insiders` for each condition, and one for everybody else."""
    first = {"match": list(conditions), "route": [{"destination": {"host": "insiders"}}]}
    return {
        "kind": "VirtualService",
        "apiVersion": "networking.istio.io/v1",
        "metadata": {
            "namespace": "shop",
            "name": "catalog",
            "creationTimestamp": "2026-01-02T00:00:00Z",
        },
        "spec": {
            "hosts": ["catalog"],
            "http": [
                *([first] if conditions else []),
                {"route": [{"destination": {"host": "catalog"}}]},
            ],
        },
    }


def leads_to(view: View) -> list[str]:
    """Where the routes of the catalog lead, in order."""
    (found,) = [
        host
        for host in messages(view, "routes")["80"].virtual_hosts
        if "catalog.shop" in host.domains
    ]
    return [route.route.cluster.split("||")[1].split(".")[0] for route in found.routes]


def callers(world: World) -> dict[str, list[str]]:
    who = {
        "insider": ("shop", {"app": "web", "tier": "insider"}),
        "outsider": ("shop", {"app": "web"}),
        "away": ("elsewhere", {"app": "web", "tier": "insider"}),
    }
    return {
        name: leads_to(world.view(world.proxy("sidecar", namespace, name, labels)))
        for name, (namespace, labels) in who.items()
    }


BOTH, ONE = ["insiders", "catalog"], ["catalog"]


@pytest.mark.parametrize(
    ("condition", "having"),
    [
        ({"sourceLabels": {"tier": "insider"}}, {"insider", "away"}),
        ({"sourceLabels": {"tier": "insider", "app": "web"}}, {"insider", "away"}),
        ({"sourceLabels": {"tier": "insider", "app": "api"}}, set()),
        ({"sourceNamespace": "elsewhere"}, {"away"}),
        ({"sourceNamespace": "shop", "sourceLabels": {"tier": "insider"}}, {"insider"}),
        ({"uri": {"prefix": "/"}}, {"insider", "outsider", "away"}),
    ],
)
def test_who_has_a_rule(condition: dict[str, Any], having: set[str]) -> None:
    world = World([SERVICE, rules(condition)])
    assert not world.problems()
    assert callers(world) == {
        name: BOTH if name in having else ONE for name in ("insider", "outsider", "away")
    }


def test_rules_for_some_come_change_and_go() -> None:
    world = World([SERVICE])
    insider = world.proxy("sidecar", "shop", "insider", {"tier": "insider"})
    other = world.proxy("sidecar", "shop", "other", {})
    view, theirs = world.view(insider), world.view(other)
    for conditions, mine, others in (
        ([{"sourceLabels": {"tier": "insider"}}], BOTH, ONE),
        ([{"sourceLabels": {"tier": "outsider"}}], ONE, ONE),
        ([{"sourceNamespace": "shop"}], BOTH, BOTH),
        ([{"sourceLabels": {"a": "b"}}, {"sourceLabels": {"tier": "insider"}}], BOTH, ONE),
        ([], ONE, ONE),
    ):
        world.put(rules(*conditions))
        world.view(insider)
        assert (leads_to(view), leads_to(theirs)) == (mine, others), conditions


def test_who_is_told_apart_by_no_rule_shares_every_byte() -> None:
    world = World([SERVICE, rules({"sourceLabels": {"tier": "insider"}})])
    views = [
        world.view(world.proxy("sidecar", "shop", name, {"app": name})) for name in ("web", "api")
    ]
    first, second = (
        view.resources["type.googleapis.com/envoy.config.route.v3.RouteConfiguration"]
        for view in views
    )
    assert first["80"] is second["80"]


def test_labels_of_single_pods_tell_nobody_apart() -> None:
    world = World([SERVICE])
    one, two = (
        world.proxy("sidecar", "shop", "web", {"app": "web", "pod-template-hash": digest})
        for digest in ("1", "2")
    )
    assert one == two
