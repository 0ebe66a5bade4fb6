"""Clusters on demand: which can wait for a request, and when a proxy is told them."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.translate import names
from rollout.mesh.translate.ondemand import FILTER
from rollout.mesh.translate.resource import Resource, resource
from rollout.mesh.xds.protocol import Stream
from rollout.mesh.xds.wire import Encoder, Request
from tests.meshworld import World, messages
from tests.unit.mesh.test_sidecars import SERVICES, egress, istio, sidecar

Json = dict[str, Any]
ONE, TWO = "outbound|80||one", "outbound|80||two"


def lazy(world: World, **metadata: str) -> set[str]:
    """The clusters of `prod` that can wait, as `name:port`."""
    world.registry.on_demand = True
    who = world.proxy("sidecar", "shop", "web", {"app": "web"}, metadata)
    found = world.view(who).lazy
    parts = (name.split("|") for name in world.view(who).resources[names.CLUSTER] if name in found)
    return {f"{each[3].split('.')[0]}:{each[1]}" for each in parts}


def leading(kind: str, *rules: Json) -> Json:
    return istio("VirtualService", "prod", "rules", {"hosts": ["pay"], kind: list(rules)})


TO_BANK = {"destination": {"host": "bank"}}
EVERYTHING = {"web:80", "pay:80", "bank:80", "ledger:80"}


@pytest.mark.parametrize(
    ("objects", "waiting"),
    [
        pytest.param([], EVERYTHING, id="where HTTP is spoken"),
        pytest.param([leading("http", {"route": [TO_BANK]})], EVERYTHING, id="where routes lead"),
        pytest.param(
            [leading("http", {"route": [{"destination": {"host": "pay"}}], "mirror": {"host": "bank"}})],
            EVERYTHING - {"bank:80"},
            id="not where copies go",
        ),
        pytest.param(
            [leading("tcp", {"match": [{"port": 5432}], "route": [TO_BANK]})],
            EVERYTHING - {"bank:80"},
            id="not where connections go",
        ),
        pytest.param([sidecar({"egress": [egress("prod/*")]})], set(), id="not what a Sidecar names"),
        pytest.param(
            [sidecar({"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})],
            EVERYTHING,
            id="with a Sidecar that names nothing",
        ),
    ],
)  # fmt: skip
def test_what_can_wait(objects: list[Json], waiting: set[str]) -> None:
    assert lazy(World([*SERVICES, *objects]), ASKS_FOR_CLUSTERS="true") == waiting


def test_a_proxy_that_cannot_ask_is_told_all() -> None:
    assert lazy(World(SERVICES)) == set()


def test_what_can_no_longer_wait_is_told() -> None:
    world = World(SERVICES)
    lazy(world, ASKS_FOR_CLUSTERS="true")
    who = world.proxy("sidecar", "shop", "web", {"app": "web"}, {"ASKS_FOR_CLUSTERS": "true"})
    world.put(leading("http", {"route": [TO_BANK], "mirror": {"host": "bank"}}))
    world.feed.flush()
    changed = world.views.refresh(world.registry.drain())[who]
    assert changed[names.CLUSTER] == {"outbound|80||bank.prod.svc.cluster.local"}


def test_the_filter_is_there_only_where_proxies_ask() -> None:
    world = World(SERVICES)
    world.registry.on_demand = True
    for metadata in ({}, {"ASKS_FOR_CLUSTERS": "true"}):
        who = world.proxy("sidecar", "shop", "web", {"app": "web"}, metadata)
        listener = messages(world.view(who), "listeners")["0.0.0.0_80"]
        assert (FILTER in str(listener)) is bool(metadata)


class Proxy:
    """A stream on which all clusters but the lazy ones were asked for."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.lazy: set[str] = set()
        self.stream = Stream({names.CLUSTER: self.resources}, Encoder().encode, self.lazy)

    def put(self, name: str, body: bytes | None = b"1") -> None:
        if body is None:
            del self.resources[name]
        else:
            self.resources[name] = resource(names.CLUSTER, name, body)
        self.stream.changed({names.CLUSTER: [name]})

    def ask(self, *wanted: str) -> tuple[list[str], list[str]]:
        """The names of what is sent and taken away after a request for these."""
        self.stream.receive(Request(type_url=names.CLUSTER, subscribe=wanted))
        sent: list[str] = []
        removed: list[str] = []
        for response in self.stream.poll():
            sent += [each.name for each in response.resources]
            removed += response.removed
            self.stream.receive(Request(type_url=names.CLUSTER, nonce=response.nonce))
        return sent, removed


def test_a_lazy_cluster_is_told_when_asked_for_and_kept_up_to_date_from_then_on() -> None:
    proxy = Proxy()
    proxy.lazy.update((ONE, TWO))
    proxy.put(ONE)
    proxy.put(TWO)
    proxy.put("eager")
    assert proxy.ask() == (["eager"], [])
    assert proxy.ask(ONE) == ([ONE], [])
    proxy.put(ONE, b"2")
    proxy.put(TWO, b"2")
    assert proxy.ask() == ([ONE], [])
    proxy.put(ONE, None)
    assert proxy.ask() == ([], [ONE])


def test_what_was_told_before_it_could_wait_is_kept_up_to_date() -> None:
    proxy = Proxy()
    proxy.put(ONE)
    assert proxy.ask() == ([ONE], [])
    proxy.lazy.add(ONE)
    proxy.put(ONE, b"2")
    assert proxy.ask() == ([ONE], [])


def test_a_cluster_that_does_not_exist_is_said_not_to() -> None:
    proxy = Proxy()
    proxy.put("eager")
    proxy.ask()
    assert proxy.ask(TWO) == ([], [TWO])
