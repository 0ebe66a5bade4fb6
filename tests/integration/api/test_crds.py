"""The generated CRDs on a real API server: they are accepted, and refuse and keep what they should."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rollout.api.canary import Canary
from rollout.api.errors import InvalidObject
from rollout.api.istio import VirtualService
from rollout.api.kinds import ALERT_PROVIDER, CANARY, METRIC_TEMPLATE, VIRTUAL_SERVICE, Kind
from rollout.kube.client import Client
from rollout.kube.errors import Invalid
from rollout.kube.objects import Object
from tests.integration.crds import install_crds
from tests.unit.api.samples import BOOK, FULL, with_change


@pytest.fixture
async def served(client: Client) -> Client:
    await install_crds(client)
    return client


def in_namespace(obj: Object, namespace: str) -> Object:
    obj = copy.deepcopy(obj)
    obj["metadata"]["namespace"] = namespace
    return obj


async def test_every_definition_is_structural(client: Client) -> None:
    for crd in (await install_crds(client)).values():
        conditions = {c["type"]: c for c in crd["status"]["conditions"]}
        assert "NonStructuralSchema" not in conditions, conditions
        assert conditions["NamesAccepted"]["status"] == "True"


@pytest.mark.parametrize("canary", [BOOK, FULL], ids=["the book's", "every field"])
async def test_a_canary_is_stored_as_written(
    served: Client, namespace: str, canary: Object
) -> None:
    stored = await served.create(CANARY, in_namespace(canary, namespace))
    assert stored["spec"] == canary["spec"]
    assert Canary.parse(stored).spec == Canary.parse(canary).spec


REFUSED: list[tuple[str, Callable[[Any], None], str]] = [
    ("no way to advance", lambda spec: spec["analysis"].pop("stepWeight"), "exactly one of"),
    ("two ways", lambda spec: spec["analysis"].update(iterations=3), "exactly one of"),
    ("bad interval", lambda spec: spec["analysis"].update(interval="soon"), "is not a duration"),
    ("weight above 100", lambda spec: spec["analysis"].update(stepWeight=101), "less than or equal"),
    ("weight 0", lambda spec: spec["analysis"].update(stepWeight=0), "greater than or equal"),
    ("range without values", lambda spec: spec["analysis"]["metrics"][0]["thresholdRange"].update(max=1), "min is above max"),
    ("metric's window", lambda spec: spec["analysis"]["metrics"][0].update(interval="1.5m"), "is not a range"),
    ("webhook's URL", lambda spec: spec["analysis"].update(webhooks=[{"name": "x", "url": "ftp://x"}]), "is not a URL"),
    ("cookies alike", lambda spec: spec["analysis"].update(sessionAffinity={"cookieName": "a", "primaryCookieName": "a"}), "different names"),
    ("target's kind", lambda spec: spec["targetRef"].update(kind="Job"), "Unsupported value"),
    ("no target", lambda spec: spec.pop("targetRef"), "Required value"),
    ("port", lambda spec: spec["service"].update(port=70000), "less than or equal"),
    ("text for a number", lambda spec: spec["analysis"].update(threshold="5"), "must be of type integer"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_the_api_server_refuses(
    served: Client, namespace: str, change: Callable[[Any], None], message: str
) -> None:
    canary = with_change(BOOK, change)
    with pytest.raises(Invalid, match=message):
        await served.create(CANARY, in_namespace(canary, namespace))
    with pytest.raises(InvalidObject):
        Canary.parse(canary)


@pytest.mark.parametrize("weights", [[10, 5], [10, 10], [0], [], [50, 101]], ids=str)
async def test_steps_must_rise(served: Client, namespace: str, weights: list[int]) -> None:
    def steps(spec: Any) -> None:
        del spec["analysis"]["stepWeight"]
        spec["analysis"]["stepWeights"] = weights

    with pytest.raises(Invalid, match="stepWeights"):
        await served.create(CANARY, in_namespace(with_change(BOOK, steps), namespace))


async def test_unknown_keys_stay_so_that_they_can_be_refused_by_name(
    served: Client, namespace: str
) -> None:
    def misspelt(spec: Any) -> None:
        spec["service"]["gatways"] = ["mesh"]
        spec["analysis"]["metrics"][0]["treshold"] = 1

    stored = await served.create(CANARY, in_namespace(with_change(BOOK, misspelt), namespace))
    with pytest.raises(InvalidObject) as refused:
        Canary.parse(stored)
    assert sorted(error.remedy for error in refused.value.errors) == [
        "did you mean gateways?",
        "did you mean threshold?",
    ]


async def test_the_status_is_a_subresource(served: Client, namespace: str) -> None:
    stored = await served.create(CANARY, in_namespace(BOOK, namespace))
    stored["status"] = {
        "phase": "Progressing",
        "canaryWeight": 10,
        "failedChecks": 0,
        "iterations": 0,
    }
    answered = await served.replace(CANARY, stored, subresource="status")
    assert Canary.parse(answered).status.canary_weight == 10


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
async def test_istio_manifests_apply_unchanged(
    served: Client, namespace: str, version: str
) -> None:
    kind = replace(VIRTUAL_SERVICE, version=version)
    manifest: Object = {
        "apiVersion": kind.api_version,
        "kind": "VirtualService",
        "metadata": {"name": version, "namespace": namespace},
        "spec": {
            "hosts": ["catalog"],
            "http": [
                {
                    "route": [{"destination": {"host": "catalog", "subset": "v1"}}],
                    "newInIstio": {"a": 1},
                }
            ],
        },
    }
    assert (await served.create(kind, manifest))["spec"] == manifest["spec"]
    stored = VirtualService.parse(await served.get(VIRTUAL_SERVICE, namespace, version))
    assert [error.path for error in stored.unknown_fields] == ["spec.http[0].newInIstio"]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (METRIC_TEMPLATE, {"provider": {"type": "prometheus", "address": "http://prometheus:9090"}, "query": "up"}),
        (ALERT_PROVIDER, {"type": "slack", "address": "https://hooks.example.com/x"}),
        (ALERT_PROVIDER, {"type": "msteams", "secretRef": {"name": "teams"}}),
    ],
    ids=["metric template", "alert provider", "alert provider with a secret"],
)  # fmt: skip
async def test_flaggers_other_kinds(
    served: Client, namespace: str, kind: Kind, spec: Object
) -> None:
    obj: Object = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": "sample", "namespace": namespace},
        "spec": spec,
    }
    assert (await served.create(kind, obj))["spec"] == spec
