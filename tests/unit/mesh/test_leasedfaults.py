"""Which proxies carry an experiment's fault, in which slot, and which of an experiment's faults there are at all."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.chaos import TOLD_UPSTREAM, ChaosExperiment
from rollout.api.errors import InvalidObject
from rollout.mesh.ingest.experiments import leased_fault
from rollout.mesh.model.fault import LeasedFault
from rollout.mesh.model.proxy import Proxy
from rollout.mesh.translate.leasedfaults import _PEER_FIELD, filled_slots
from tests.meshworld import Json, World

ABORT = {"abort": {"httpStatus": 503}}
STATUS = {
    "phase": "Running",
    "runID": "a1",
    "startedAt": "2026-01-01T00:00:00Z",
    "expiresAt": "2026-01-01T00:05:00Z",
}


def service(name: str, app: str, port: int = 8080) -> Json:
    ports = [{"name": "http", "port": 80, "targetPort": port}]
    spec = {"clusterIP": "10.0.0.1", "ports": ports, "selector": {"app": app}}
    return {"kind": "Service", "metadata": {"namespace": "shop", "name": name}, "spec": spec}


WORLD = World(
    [
        service("catalog-primary", "catalog-primary"),
        service("catalog-canary", "catalog"),
        service("catalog", "catalog-primary"),
        service("other", "catalog", 9090),
    ]
)


def proxy(app: str, kind: str = "sidecar", namespace: str = "shop") -> Proxy:
    return WORLD.proxy(kind, namespace, app, {"app": app})


PROXIES = {
    "primary": proxy("catalog-primary"),
    "canary": proxy("catalog"),
    "web": proxy("web"),
    "elsewhere": proxy("web", namespace="elsewhere"),
    "gateway": proxy("gateway", kind="router"),
}


def experiment(
    name: str = "e", layer: str = "upstream", callers: Json | None = None, **target: Any
) -> Json:
    spec = {
        "duration": "5m",
        "target": {"service": "catalog", "from": callers, **target},
        "fault": {**ABORT, "layer": layer},
    }
    return {
        "apiVersion": "chaos.rollout.dev/v1alpha1",
        "kind": "ChaosExperiment",
        "metadata": {"namespace": "shop", "name": name, "generation": 2},
        "spec": spec,
        "status": STATUS,
    }


def fault(obj: Json) -> LeasedFault:
    found = leased_fault(ChaosExperiment.parse(obj))
    assert isinstance(found, LeasedFault)
    return found


@pytest.mark.parametrize(
    ("obj", "carriers"),
    [
        (experiment(), {"primary", "canary"}),
        (experiment(arm="primary"), {"primary"}),
        (experiment(arm="canary"), {"canary"}),
        (experiment(service="other"), {"canary"}),
        (experiment(service="unknown"), set()),
        (experiment(namespace="elsewhere"), set()),
        (experiment(layer="client"), set(PROXIES)),
        (experiment(layer="client", callers={"labelSelectors": {"app": "web"}}), {"web", "elsewhere"}),
        (experiment(layer="client", callers={"namespaces": ["elsewhere"]}), {"elsewhere"}),
        (experiment(layer="client", callers={"labelSelectors": {"app": "gateway"}}), {"gateway"}),
        (experiment(callers={"namespaces": ["elsewhere"]}), {"primary", "canary"}),
    ],
    ids=[
        "all arms", "primary", "canary", "another service of the same pods", "no such service", "another namespace",
        "client", "callers by label", "callers by namespace", "gateways call too", "who calls is seen at the service",
    ],
)  # fmt: skip
def test_who_carries_it(obj: Json, carriers: set[str]) -> None:
    found = {name for name, each in PROXIES.items() if filled_slots([fault(obj)], each, {})[0]}
    assert found == carriers


def test_the_oldest_have_the_slots_and_the_others_are_named() -> None:
    faults = []
    for index in (3, 0, 2, 1):
        obj = experiment(f"e{index}")
        obj["status"] = {**STATUS, "startedAt": f"2026-01-01T00:00:0{index}Z"}
        faults.append(fault(obj))
    made, left = filled_slots(faults, PROXIES["primary"], {})
    assert [(each.ref.name, resource.name) for each, resource in made] == [
        ("e0", "chaos.inbound.0"),
        ("e1", "chaos.inbound.1"),
    ]
    assert [each.ref.name for each in left] == ["e2", "e3"]
    assert filled_slots(faults, PROXIES["web"], {}) == ([], [])


def test_a_run_keeps_its_slot() -> None:
    faults = [fault(experiment(f"e{index}")) for index in range(3)]
    held = {faults[2].run: "chaos.inbound.0"}
    made, left = filled_slots(faults, PROXIES["primary"], held)
    assert {each.ref.name: resource.name for each, resource in made} == {
        "e2": "chaos.inbound.0",
        "e0": "chaos.inbound.1",
    }
    assert [each.ref.name for each in left] == ["e1"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status", "phase"), "Recovering"),
        (("status", "runID"), None),
        (("status", "expiresAt"), None),
        (("status", "runGeneration"), 1),
        (("spec", "dryRun"), True),
        (("spec", "fault"), {"podKill": {}}),
    ],
    ids=["over", "no run", "without end", "spec changed meanwhile", "dry run", "nothing for proxies"],
)  # fmt: skip
def test_what_proxies_have_nothing_of(path: tuple[str, str], value: Any) -> None:
    obj = experiment()
    obj[path[0]] = {**obj[path[0]], path[1]: value}
    assert leased_fault(ChaosExperiment.parse(obj)) is None


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"target": {"service": "s", "from": {"labelSelectors": {"tier": "web"}}}}, "spec.target.from.labelSelectors"),
        ({"fault": {**ABORT, "match": [{"uri": {"regex": "(?=x)"}}]}}, "spec.fault.match[0].uri.regex"),
        ({"fault": {**ABORT, "match": [{"headers": {"a": {"regex": "("}}}]}}, 'spec.fault.match[0].headers["a"].regex'),
    ],
)  # fmt: skip
def test_what_no_proxy_can_do_is_refused(spec: Json, field: str) -> None:
    obj = experiment()
    obj["spec"] |= spec
    with pytest.raises(InvalidObject) as raised:
        ChaosExperiment.parse(obj)
    assert [each.path for each in raised.value.errors] == [field]


def test_every_label_that_may_be_asked_for_is_told() -> None:
    assert set(TOLD_UPSTREAM) == set(_PEER_FIELD)
