"""What a VirtualService leaves to another: both must hold, and what goes missing is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.meshworld import World, messages

Json = dict[str, Any]


def service(name: str) -> Json:
    return {
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }


def table(name: str, *rules: Json, **spec: Any) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": "2026-01-02T00:00:00Z"},
        "spec": {"http": list(rules)} | spec,
    }  # fmt: skip


def to(host: str, *matches: Json, **more: Any) -> Json:
    found: Json = {"route": [{"destination": {"host": host}}], **more}
    return found | ({"match": list(matches)} if matches else {})


def ask(name: str, *matches: Json, **more: Any) -> Json:
    found: Json = {"delegate": {"name": name}, **more}
    return found | ({"match": list(matches)} if matches else {})


def uri(kind: str, value: str, **more: Any) -> Json:
    return {"uri": {kind: value}} | more


SERVICES = [service("web"), service("one"), service("two")]


def routes(*objects: Json) -> tuple[list[tuple[str, str]], list[str]]:
    """(path, destination) of the routes of `web`, and the problems."""
    world = World([*SERVICES, *objects])
    view = world.view(world.proxy("sidecar", "shop", "client"))
    (found,) = messages(view, "routes").values()
    (host,) = [each for each in found.virtual_hosts if each.name.startswith("web.")]
    reasons = [p.reason for problems in world.feed.conflicts().values() for p in problems]
    return [
        (each.match.path or each.match.prefix, each.route.cluster.split("|")[-1].split(".")[0])
        for each in host.routes
    ], reasons


@pytest.mark.parametrize(
    ("root", "leaf", "wanted"),
    [
        ([], [], [("/", "one")]),
        ([uri("prefix", "/a")], [], [("/a", "one")]),
        ([], [uri("prefix", "/a")], [("/a", "one")]),
        ([uri("prefix", "/a")], [uri("exact", "/a/b")], [("/a/b", "one")]),
        ([uri("prefix", "/a")], [uri("prefix", "/a/b"), uri("prefix", "/c")], [("/a/b", "one")]),
        ([uri("prefix", "/a"), uri("prefix", "/c")], [uri("prefix", "/c/d")], [("/c/d", "one")]),
        ([uri("exact", "/a")], [uri("exact", "/a")], [("/a", "one")]),
        ([uri("exact", "/a")], [uri("prefix", "/a")], []),
        ([uri("regex", "/a.*")], [uri("exact", "/ab")], []),
        ([uri("prefix", "/a", headers={"h": {"exact": "1"}})], [uri("prefix", "/a/b", headers={"h": {"exact": "2"}})], []),
        ([uri("prefix", "/a", port=80)], [uri("prefix", "/a/b", port=81)], []),
    ],
)  # fmt: skip
def test_both_must_hold(root: list[Json], leaf: list[Json], wanted: list[tuple[str, str]]) -> None:
    found, reasons = routes(
        table("root", ask("leaf", *root), to("two", uri("prefix", "/rest")), hosts=["web"]),
        table("leaf", to("one", *leaf)),
    )
    ending = [("/rest", "two")] if wanted != [("/", "one")] else []
    assert found == [*wanted, *ending]
    assert bool(reasons) is not bool(wanted)


def test_headers_and_conditions_are_put_together() -> None:
    world = World([
        *SERVICES,
        table("root", ask("leaf", uri("prefix", "/a", headers={"x": {"exact": "1"}}), timeout="3s", retries={"attempts": 7}), hosts=["web"]),
        table("leaf", to("one", {"headers": {"y": {"exact": "2"}}}, timeout="5s")),
    ])  # fmt: skip
    (route,) = next(iter(world.registry.tables.values())).routes
    (match,) = route.matches
    assert [name for name, _ in match.headers] == ["x", "y"]
    assert match.uri is not None
    assert (route.timeout, route.retries.attempts if route.retries else 0) == (5, 7)


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([], "VirtualService shop/leaf does not exist"),
        ([table("leaf", to("one"), exportTo=["elsewhere"])], "is not exported to this namespace"),
        ([table("leaf", to("one"), hosts=["one"])], "has hosts of its own"),
        ([table("leaf", ask("leaf2")), table("leaf2", to("one"))], "delegates itself"),
    ],
)
def test_what_comes_to_nothing_is_said(objects: list[Json], reason: str) -> None:
    found, reasons = routes(table("root", ask("leaf"), to("two"), hosts=["web"]), *objects)
    assert found == [("/", "two")]
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_a_delegate_may_come_change_and_go() -> None:
    root, leaf = table("root", ask("leaf"), hosts=["web"]), table("leaf", to("one"))
    world = World([*SERVICES, root])
    client = world.proxy("sidecar", "shop", "client")

    def destination() -> str:
        (found,) = messages(world.view(client), "routes").values()
        (host,) = [each for each in found.virtual_hosts if each.name.startswith("web.")]
        return host.routes[0].route.cluster if host.routes else ""

    assert destination() == ""
    world.put(leaf)
    assert destination() == "outbound|80||one.shop.svc.cluster.local"
    world.put(table("leaf", to("two")))
    assert destination() == "outbound|80||two.shop.svc.cluster.local"
    world.remove(leaf)
    assert destination() == ""
    assert world.feed.conflicts()
    world.remove(root)
    assert world.feed.conflicts() == {}
