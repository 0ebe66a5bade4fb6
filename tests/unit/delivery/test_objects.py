"""Generated objects, against the contract: names, labels, owners, references, what is copied and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.kinds import CONFIG_MAP, VIRTUAL_SERVICE
from rollout.delivery.objects.configs import (
    ConfigRef,
    checksum,
    is_tracked,
    primary_config,
    referenced_configs,
    with_primary_configs,
)
from rollout.delivery.objects.primary import selector_label
from rollout.delivery.objects.services import Side, service
from rollout.delivery.revision import promotion_id
from rollout.delivery.routing.istio import IstioRouter
from rollout.delivery.routing.router import Split, Weights
from rollout.delivery.targets import DEPLOYMENTS
from rollout.delivery.targets.target import Source
from rollout.kube.objects import Object, owner_reference
from tests.unit.delivery.world import canary, deployment

LABEL = ("app", "catalog")
OWNER = canary()
OWNER["metadata"] |= {"uid": "uid-1"}
LEFT_TO_US = {
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
}
OWNED = [
    {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "name": "catalog-release",
        "uid": "uid-1",
        "controller": True,
        "blockOwnerDeletion": True,
    }
]

POD = {
    "volumes": [
        {"name": "a", "configMap": {"name": "a"}},
        {"name": "b", "secret": {"secretName": "b"}},
        {
            "name": "c",
            "projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "d"}}]},
        },
    ],
    "containers": [
        {
            "name": "catalog",
            "env": [
                {"name": "E", "valueFrom": {"configMapKeyRef": {"name": "e", "key": "k"}}},
                {"name": "F", "valueFrom": {"secretKeyRef": {"name": "f", "key": "k"}}},
                {"name": "G", "value": "plain"},
            ],
            "envFrom": [{"configMapRef": {"name": "g"}}, {"secretRef": {"name": "h"}}],
        }
    ],
    "initContainers": [{"name": "init", "envFrom": [{"configMapRef": {"name": "i"}}]}],
}


def test_every_reference_is_found_and_only_the_tracked_ones_are_renamed() -> None:
    found = referenced_configs({"spec": POD})
    assert [ref.key for ref in found] == [
        *(f"configmap/{name}" for name in "acegi"),
        *(f"secret/{name}" for name in "bdfh"),
    ]
    renamed = with_primary_configs({"spec": POD}, [ref for ref in found if ref.name != "e"])
    names = {ref.name for ref in referenced_configs(renamed)}
    assert names == {f"{name}-primary" for name in "abcdfghi"} | {"e"}
    assert referenced_configs({"spec": POD}) == found, "the original is left alone"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # Reference values: sha256 of what Go's encoding/json prints, its first 8 bytes.
        ({"data": {"a": "b"}}, '{"a":"b"}'),
        ({"data": {"b": "<&>", "a": "é"}}, '{"a":"é","b":"\\u003c\\u0026\\u003e"}'),
        ({}, "null"),
    ],
)
def test_checksum(config: Object, expected: str) -> None:
    import hashlib

    assert checksum(config) == hashlib.sha256(expected.encode()).hexdigest()[:16]


def test_binary_data_counts() -> None:
    assert checksum({"data": {}, "binaryData": {"a": "AA=="}}) != checksum({"data": {}})


@pytest.mark.parametrize(
    ("config", "secret", "tracked"),
    [
        ({"metadata": {}}, False, True),
        ({"metadata": {}}, True, True),
        ({"metadata": {}, "type": "kubernetes.io/tls"}, True, True),
        ({"metadata": {}, "type": "kubernetes.io/dockerconfigjson"}, True, False),
        ({"metadata": {"annotations": {"flagger.app/config-tracking": "disabled"}}}, False, False),
    ],
)
def test_tracking(config: Object, secret: bool, tracked: bool) -> None:
    assert is_tracked(config, secret=secret) is tracked


def test_a_config_copy() -> None:
    source = {
        "metadata": {"name": "settings", "labels": {"team": "shop", "tier": "web"}},
        "data": {"a": "b"},
        "immutable": True,
    }
    assert primary_config(OWNER, source, CONFIG_MAP, ("te",)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings-primary",
            "namespace": "shop",
            "labels": {"team": "shop"},
            "annotations": LEFT_TO_US,
            "ownerReferences": OWNED,
        },
        "data": {"a": "b"},
    }


def test_the_primary() -> None:
    selector = {
        "labelSelector": {
            "matchLabels": {"app": "catalog"},
            "matchExpressions": [{"key": "app", "operator": "In", "values": ["catalog", "other"]}],
        }
    }
    target = deployment(
        affinity={
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [dict(selector)],
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": dict(selector)}
                ],
            }
        },
        topologySpreadConstraints=[dict(selector)],
    )
    target["metadata"] |= {
        "labels": {"app": "catalog", "team": "shop", "kustomize.toolkit.fluxcd.io/name": "x"},
        "annotations": {
            "note": "kept",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "deployment.kubernetes.io/revision": "3",
        },
    }
    target["spec"]["strategy"] = {"type": "RollingUpdate"}
    source = Source(owner=OWNER, target=target, label=LABEL, promotion="id-1", prefixes=("*",))
    made = DEPLOYMENTS.created(source, 2)
    assert made["metadata"] == {
        "name": "catalog-primary",
        "namespace": "shop",
        "labels": {"app": "catalog-primary", "team": "shop"},
        "annotations": {"note": "kept", **LEFT_TO_US},
        "ownerReferences": OWNED,
    }
    spec = made["spec"]
    assert spec["replicas"] == 2
    assert spec["selector"] == {"matchLabels": {"app": "catalog-primary"}}
    assert spec["strategy"] == {"type": "RollingUpdate"}
    template = spec["template"]
    assert template["metadata"] == {
        "labels": {"app": "catalog-primary"},
        "annotations": {"flagger-id": "id-1"},
    }
    pod = template["spec"]
    anti = pod["affinity"]["podAntiAffinity"]
    terms = [
        anti["requiredDuringSchedulingIgnoredDuringExecution"][0],
        anti["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"],
        pod["topologySpreadConstraints"][0],
    ]
    for term in terms:
        assert term["labelSelector"]["matchLabels"] == {"app": "catalog-primary"}
        values = term["labelSelector"]["matchExpressions"][0]["values"]
        assert values == ["catalog-primary", "other"]


def test_the_first_candidate_label_counts() -> None:
    target = deployment()
    assert selector_label(target, ("name", "app")) == ("app", "catalog")
    assert selector_label(target, ("name",)) is None


def test_the_services() -> None:
    spec: dict[str, Any] = {
        "service": {
            "port": 80,
            "targetPort": "http",
            "portDiscovery": True,
            "appProtocol": "http",
            "apex": {"labels": {"team": "shop"}, "annotations": {"note": "apex"}},
        }
    }
    owner = canary(**spec)
    owner["metadata"] |= {"uid": "uid-1"}
    target = deployment()
    target["spec"]["template"]["spec"]["containers"] = [
        {"name": "catalog", "ports": [{"containerPort": 80}, {"containerPort": 9}]},
        {"name": "istio-proxy", "ports": [{"containerPort": 15090}]},
        {"name": "side", "ports": [{"name": "grpc", "containerPort": 7}]},
    ]
    apex = service(owner, Side.APEX, LABEL, target, None).desired
    assert apex["metadata"]["labels"] == {"app": "catalog", "team": "shop"}
    assert apex["metadata"]["annotations"] == {"note": "apex", **LEFT_TO_US}
    assert apex["spec"] == {
        "type": "ClusterIP",
        "selector": {"app": "catalog-primary"},
        "ports": [
            {
                "name": "http",
                "protocol": "TCP",
                "port": 80,
                "targetPort": "http",
                "appProtocol": "http",
            },
            {"name": "tcp-catalog-1", "protocol": "TCP", "port": 9, "targetPort": 9},
            {"name": "grpc", "protocol": "TCP", "port": 7, "targetPort": 7},
        ],
    }
    side = service(owner, Side.CANARY, LABEL, target, None).desired
    assert side["metadata"]["name"] == "catalog-canary"
    assert side["spec"]["selector"] == {"app": "catalog"}


def test_a_service_that_was_there_keeps_its_metadata_and_node_port() -> None:
    served = {
        "metadata": {"name": "catalog", "namespace": "shop", "labels": {"mine": "yes"}},
        "spec": {"ports": [{"name": "http", "port": 80, "nodePort": 30080}]},
    }
    desired = service(OWNER, Side.APEX, LABEL, deployment(), served).desired
    assert desired["metadata"] == {"name": "catalog", "namespace": "shop"}
    assert desired["spec"]["ports"][0]["nodePort"] == 30080
    assert "type" not in desired["spec"]


def test_metadata_that_others_own_is_left_to_them() -> None:
    unmanaged = {"labels": ["team"], "annotations": ["note", "new"]}
    owner = {
        **OWNER,
        "spec": {
            "targetRef": {"name": "catalog"},
            "service": {
                "port": 80,
                "unmanagedMetadata": unmanaged,
                "apex": {
                    "labels": {"team": "shop", "tier": "web"},
                    "annotations": {"note": "ours", "new": "ours"},
                },
            },
        },
    }
    served = {
        "metadata": {
            "name": "catalog",
            "ownerReferences": OWNED,
            "labels": {"team": "theirs"},
            "annotations": {"note": "theirs"},
        },
        "spec": {},
    }
    made = service(owner, Side.APEX, LABEL, deployment(), served).desired["metadata"]
    assert made["labels"] == {"tier": "web", "app": "catalog"}
    assert made["annotations"] == {"new": "ours", **LEFT_TO_US}
    fresh = service(owner, Side.APEX, LABEL, deployment(), None).desired["metadata"]
    assert fresh["labels"]["team"] == "shop"


def test_ports_that_the_canary_does_not_name_stay() -> None:
    served: Object = {
        "metadata": {"name": "catalog", "namespace": "shop"},
        "spec": {
            "ports": [
                {"name": "web", "protocol": "TCP", "port": 80, "nodePort": 30080},
                {"name": "dns", "protocol": "UDP", "port": 80, "targetPort": 53},
                {"port": 9000, "targetPort": "admin", "nodePort": 30090},
            ]
        },
    }
    expected = [
        ("http", "TCP", 80),
        ("dns", "UDP", 80),
        ("tcp-9000", "TCP", 9000),
    ]
    for side in Side:
        observed = served if side is Side.APEX else None
        ports = service(OWNER, side, LABEL, deployment(), observed, served).desired["spec"]["ports"]
        assert [(p["name"], p["protocol"], p["port"]) for p in ports] == expected
        assert not any("nodePort" in port for port in ports if side is not Side.APEX)
    metadata = {**served["metadata"], "ownerReferences": [owner_reference(OWNER)]}
    ours = {**served, "metadata": metadata}
    desired = service(OWNER, Side.APEX, LABEL, deployment(), ours, ours).desired
    assert len(desired["spec"]["ports"]) == 1


def test_a_delegate_loses_hosts_that_it_had() -> None:
    shape = {**OWNER["spec"]["service"], "delegation": True}
    shape = {k: v for k, v in shape.items() if k not in {"hosts", "gateways"}}
    owner = {**OWNER, "spec": {**OWNER["spec"], "service": shape}}
    before: Object = {
        "metadata": {"name": "catalog", "namespace": "shop"},
        "spec": {"hosts": ["catalog"], "http": []},
    }
    assert "hosts" not in routed(owner, None, 0)["spec"]
    spec = routed(owner, before, 0)["spec"]
    assert spec["hosts"] is None
    assert "gateways" not in spec
    assert spec["http"][0]["route"][0]["destination"] == {"host": "catalog-primary"}


def routed(owner: Object, served: Object | None, share: int) -> Object:
    applies = IstioRouter().routes(
        owner,
        lambda kind, _: served if kind == VIRTUAL_SERVICE else None,
        Split(weights=Weights.of_canary(share)),
    )
    return applies[-1].desired


def test_the_routes() -> None:
    made = routed(OWNER, None, 10)
    assert made["spec"] == {
        "hosts": ["catalog"],
        "gateways": ["mesh"],
        "http": [
            {
                "route": [
                    {"destination": {"host": "catalog-primary"}, "weight": 90},
                    {"destination": {"host": "catalog-canary"}, "weight": 10},
                ]
            }
        ],
    }
    assert IstioRouter().weights(OWNER, lambda *_: made) == Weights(90, 10)


def test_routes_pass_on_what_the_canary_says_of_them() -> None:
    shape = {
        "port": 80,
        "hosts": ["shop.example"],
        "gateways": ["public"],
        "portDiscovery": True,
        "timeout": "5s",
        "retries": {"attempts": 3},
        "match": [{"uri": {"prefix": "/"}}],
        "rewrite": {"uri": "/x"},
        "headers": {"request": {"add": {"a": "b"}}},
        "corsPolicy": {"allowOrigins": [{"exact": "*"}]},
    }
    spec = routed({**OWNER, "spec": {**OWNER["spec"], "service": shape}}, None, 0)["spec"]
    assert spec["hosts"] == ["shop.example", "catalog"]
    assert spec["gateways"] == ["public"]
    rule = spec["http"][0]
    for field in ("timeout", "retries", "match", "rewrite", "headers", "corsPolicy"):
        assert rule[field] == shape[field]
    assert rule["route"][0]["destination"] == {"host": "catalog-primary", "port": {"number": 80}}


def test_tcp_routes() -> None:
    shape = {"port": 5432, "appProtocol": "TCP"}
    made = routed({**OWNER, "spec": {**OWNER["spec"], "service": shape}}, None, 40)
    assert "http" not in made["spec"]
    assert [each["weight"] for each in made["spec"]["tcp"][0]["route"]] == [60, 40]


def test_a_route_that_was_there_is_kept_in_mind_and_given_back() -> None:
    original = {"hosts": ["catalog"], "http": [{"route": [{"destination": {"host": "old"}}]}]}
    served: Object = {
        "metadata": {"name": "catalog", "namespace": "shop", "annotations": {}},
        "spec": original,
    }
    assert IstioRouter().weights(OWNER, lambda *_: served) is None
    taken = routed(OWNER, served, 0)
    assert "ownerReferences" not in taken["metadata"]
    taken_over = {**served, "metadata": {**served["metadata"], **taken["metadata"]}}
    given_back = IstioRouter().original(OWNER, lambda *_: taken_over)
    assert [each.desired["spec"] for each in given_back] == [original]  # type: ignore[union-attr]


def test_a_revision_is_the_template_alone() -> None:
    target = deployment()
    again = deployment(replicas=7)
    again["metadata"]["labels"] = {"other": "label"}
    assert DEPLOYMENTS.revision(target) == DEPLOYMENTS.revision(again)
    assert DEPLOYMENTS.revision(target) != DEPLOYMENTS.revision(deployment("catalog:2"))


def test_a_promotion_has_one_id() -> None:
    configs = {"configmap/a": "1"}
    assert promotion_id(OWNER, "r", configs) == promotion_id(OWNER, "r", dict(configs))
    assert promotion_id(OWNER, "r", configs) != promotion_id(OWNER, "r", {"configmap/a": "2"})
    assert ConfigRef(False, "a").key == "configmap/a"
