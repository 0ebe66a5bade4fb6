from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.agent.settings import IDENTITY_FILE
from rollout.mesh.ingest.references import dangling
from rollout.mesh.model.peers import MutualTLS, PeerMode, PeerModes
from tests.meshworld import Json, World, messages

ROOT, SHOP = "istio-system", "shop"
LABELS = frozenset({("app", "catalog"), ("version", "v1")})
S, P, D = PeerMode.STRICT, PeerMode.PERMISSIVE, PeerMode.DISABLE


def policy(namespace: str, name: str = "default", created: str = "1", **spec: Any) -> Json:
    mode = {"mtls": {"mode": spec.pop("mode")}} if "mode" in spec else {}
    ports = {str(port): {"mode": each} for port, each in spec.pop("ports", {}).items()}
    levels = {"portLevelMtls": ports} if ports else {}
    chosen = {"selector": {"matchLabels": spec}} if spec else {}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "creationTimestamp": f"2026-01-01T00:00:0{created}Z",
        },
        "spec": mode | levels | chosen,
    }


@pytest.mark.parametrize(
    ("policies", "modes"),
    [
        ([], PeerModes(P)),
        ([policy(ROOT, mode="STRICT")], PeerModes(S)),
        ([policy(ROOT, mode="STRICT"), policy(SHOP, mode="PERMISSIVE")], PeerModes(P)),
        ([policy(ROOT, mode="STRICT"), policy(SHOP, mode="UNSET")], PeerModes(S)),
        ([policy("other", mode="STRICT")], PeerModes(P)),
        ([policy(ROOT, mode="STRICT", app="catalog")], PeerModes(P)),
        ([policy(SHOP, mode="STRICT"), policy(SHOP, "w", mode="DISABLE", app="catalog")], PeerModes(D)),
        ([policy(SHOP, mode="STRICT"), policy(SHOP, "w", mode="DISABLE", app="other")], PeerModes(S)),
        (
            [policy(SHOP, "w", app="catalog", mode="STRICT", ports={80: "DISABLE", 81: "UNSET"})],
            PeerModes(S, ((80, D), (81, S))),
        ),
        ([policy(SHOP, "b", "1", mode="STRICT"), policy(SHOP, "a", "2", mode="DISABLE")], PeerModes(S)),
    ],
    ids=[
        "nothing said",
        "the mesh",
        "a namespace over the mesh",
        "unset takes over",
        "another namespace",
        "in the root namespace a selector selects there",
        "a workload over its namespace",
        "another workload",
        "ports over their workload",
        "the oldest of two",
    ],
)  # fmt: skip
def test_the_narrowest_that_says_something_holds(policies: list[Json], modes: PeerModes) -> None:
    world = World(policies)
    assert not world.problems()
    assert world.registry.peers.modes(SHOP, LABELS) == modes


def test_what_has_no_effect_is_said() -> None:
    world = World([policy(SHOP, "old", "1"), policy(SHOP, "new", "2")])
    (problem,) = (each for found in dangling(world.registry).values() for each in found)
    assert (problem.ref.name, problem.field) == ("new", "spec")
    assert "old is older" in problem.reason


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"portLevelMtls": {"80": {"mode": "STRICT"}}}, "spec.portLevelMtls"),
        ({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"http": {}}}, "spec.portLevelMtls"),
        ({"mtls": {"mode": "SOMETIMES"}}, "spec.mtls.mode"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(spec: Json, field: str) -> None:
    (problem,) = World([policy(SHOP) | {"spec": spec}]).problems()
    assert problem.field == field


def service(account: str, *, sidecar: bool) -> list[Json]:
    labels = {"app": "catalog"} | ({"security.istio.io/tlsMode": "istio"} if sidecar else {})
    port = {"name": "http", "port": 80, "targetPort": 8080}
    target = {"kind": "Pod", "namespace": SHOP, "name": "catalog-1"}
    return [
        {"kind": "Pod", "metadata": {"namespace": SHOP, "name": "catalog-1", "labels": labels},
         "spec": {"serviceAccountName": account}},
        {"kind": "Service", "metadata": {"namespace": SHOP, "name": "catalog"},
         "spec": {"clusterIP": "10.0.0.1", "ports": [port], "selector": {"app": "catalog"}}},
        {"kind": "EndpointSlice",
         "metadata": {"namespace": SHOP, "name": "catalog-1",
                      "labels": {"kubernetes.io/service-name": "catalog"}},
         "ports": [{"name": "http", "port": 8080}],
         "endpoints": [{"addresses": ["10.1.0.1"], "targetRef": target}]},
    ]  # fmt: skip


def cluster(world: World) -> str:
    who = world.proxy("sidecar", "other", "caller")
    return str(messages(world.view(who), "clusters")["outbound|80||catalog.shop.svc.cluster.local"])


def endpoints(world: World) -> str:
    who = world.proxy("sidecar", "other", "caller")
    found = messages(world.view(who), "endpoints")
    return str(found["outbound|80||catalog.shop.svc.cluster.local"])


def test_only_whoever_is_behind_a_service_is_believed() -> None:
    world = World(service("one", sidecar=True), mutual_tls=MutualTLS.AUTO)
    uri = "spiffe://cluster.local/ns/shop/sa/"
    assert f"{uri}one" in cluster(world)
    assert "tlsMode" in endpoints(world)
    pod, _, piece = service("two", sidecar=True)
    world.put(pod)
    world.put(piece)
    assert f"{uri}two" in cluster(world)
    assert f"{uri}one" not in cluster(world)
    world.put(piece | {"endpoints": []})
    assert f"{uri}two" in cluster(world), "with nobody there, the last ones are still expected"


@pytest.mark.parametrize(
    ("objects", "mutual_tls", "marked", "able"),
    [
        (service("one", sidecar=True), MutualTLS.AUTO, True, True),
        (service("one", sidecar=False), MutualTLS.AUTO, False, True),
        (service("one", sidecar=True), MutualTLS.ON_REQUEST, True, False),
        (service("one", sidecar=True), MutualTLS.NONE, False, False),
        ([*service("one", sidecar=True), policy(SHOP, mode="DISABLE")], MutualTLS.AUTO, False, True),
    ],
    ids=["sidecar", "no sidecar", "only on request", "no identities", "disabled"],
)  # fmt: skip
def test_mutual_tls_is_spoken_where_both_can(
    objects: list[Json], mutual_tls: MutualTLS, marked: bool, able: bool
) -> None:
    world = World(objects, mutual_tls=mutual_tls)
    assert ("tlsMode" in endpoints(world)) is marked
    assert (IDENTITY_FILE in cluster(world)) is able


def test_a_policy_reaches_the_proxies_that_run() -> None:
    world = World(service("one", sidecar=True), mutual_tls=MutualTLS.AUTO)
    who = world.proxy("sidecar", SHOP, "catalog", {"app": "catalog"})

    def inbound() -> str:
        return str(messages(world.view(who), "listeners")["virtualInbound"])

    before = inbound()
    world.put(policy(SHOP, mode="STRICT"))
    strict = inbound()
    assert strict != before
    assert "virtualInbound-passthrough-mtls" in strict
    assert 'name: "virtualInbound-passthrough"' not in strict, "no way around it"
    assert "default_filter_chain" not in strict
    world.remove(policy(SHOP))
    assert inbound() == before
