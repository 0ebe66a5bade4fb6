"""Services, slices and pods as the mesh reads them."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.ingest.services import endpoints, protocol, service, trim_pod
from rollout.mesh.model.service import Protocol, Service

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80, "name": "http"}, Protocol.HTTP),
        ({"port": 80, "name": "http-web"}, Protocol.HTTP),
        ({"port": 80, "name": "HTTP2-api"}, Protocol.HTTP2),
        ({"port": 80, "name": "grpc"}, Protocol.GRPC),
        ({"port": 80, "name": "grpc-web"}, Protocol.HTTP),
        ({"port": 443, "name": "https"}, Protocol.TLS),
        ({"port": 80, "name": "web"}, Protocol.AUTO),
        ({"port": 80}, Protocol.AUTO),
        ({"port": 3306}, Protocol.TCP),
        ({"port": 3306, "name": "http"}, Protocol.HTTP),
        ({"port": 80, "name": "tcp", "appProtocol": "http"}, Protocol.HTTP),
        ({"port": 80, "name": "http", "appProtocol": "kubernetes.io/h2c"}, Protocol.HTTP2),
        ({"port": 80, "name": "http", "appProtocol": "example.com/own"}, Protocol.TCP),
        ({"port": 53, "name": "http", "protocol": "UDP"}, Protocol.UDP),
    ],
    ids=str,
)
def test_protocol(port: Json, expected: Protocol) -> None:
    assert protocol(port) is expected


def test_an_external_name_is_no_service() -> None:
    spec = {"type": "ExternalName", "externalName": "example.com"}
    assert service({"metadata": {"namespace": "a", "name": "b"}, "spec": spec}) is None


def pod(name: str, **metadata: Any) -> Json:
    head = {"namespace": "a", "name": name, "labels": {"app": "web", "pod-template-hash": "h1"}}
    owner = {"controller": True, "kind": "ReplicaSet", "name": "web-h1"}
    return {"metadata": head | {"ownerReferences": [owner]} | metadata, "spec": {}}


def plain_service() -> Service:
    made = service({
        "metadata": {"namespace": "a", "name": "web"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    })  # fmt: skip
    assert made is not None
    return made


DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def entry(address: str, **conditions: bool) -> Json:
    target = {"kind": "Pod", "name": f"pod-{address[-1]}"}
    return {"addresses": [address], "conditions": conditions, "targetRef": target}


def test_only_ready_pods_that_stay_are_endpoints() -> None:
    web = service({
        "metadata": {"namespace": "a", "name": "web"},
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "other", "port": 81}]},
    })  # fmt: skip
    assert web is not None
    entries = [
        entry("10.0.0.1", ready=True),
        entry("10.0.0.2", ready=False),
        entry("10.0.0.3", ready=True, terminating=True),
        entry("10.0.0.4", ready=True),
        {"addresses": ["10.0.0.5"]},
    ]
    pods = {f"pod-{n}": pod(f"pod-{n}") for n in "123"}
    pods["pod-4"] = pod("pod-4", **DELETED)
    piece = {"ports": [{"name": "http", "port": 8080}], "endpoints": entries}
    found = endpoints(web, [piece], lambda _, name: pods.get(name), {})
    assert [(each.address, each.port) for each in found[80]] == [
        ("10.0.0.1", 8080),
        ("10.0.0.5", 8080),
    ]
    assert 81 not in found
    workload = found[80][0].workload
    assert workload is not None
    assert (workload.name, workload.app, workload.canonical) == ("web", "web", "web")


@pytest.mark.parametrize(
    ("others", "conditions", "deleted", "stays"),
    [
        pytest.param((), {"ready": False, "serving": True, "terminating": True}, True, True, id="the last"),
        pytest.param((), {"ready": True}, True, True, id="the slice lags"),
        pytest.param((), {"ready": False, "serving": True, "terminating": True}, False, True, id="the pod lags"),
        pytest.param((), {"ready": False, "serving": False, "terminating": True}, True, False, id="its probes fail"),
        pytest.param((), {"ready": False}, True, False, id="it was never ready"),
        pytest.param(("10.0.0.2",), {"ready": True}, True, False, id="another stays"),
    ],
)  # fmt: skip
def test_the_last_pods_of_a_service_serve_while_they_leave(
    others: tuple[str, ...], conditions: dict[str, bool], deleted: bool, stays: bool
) -> None:
    web = plain_service()
    pods = {f"pod-{each[-1]}": pod(f"pod-{each[-1]}") for each in ("10.0.0.1", *others)}
    pods["pod-1"] = pod("pod-1", **(DELETED if deleted else {}))
    entries = [entry("10.0.0.1", **conditions), *(entry(each, ready=True) for each in others)]
    piece = {"ports": [{"name": "http", "port": 8080}], "endpoints": entries}
    found = endpoints(web, [piece], lambda _, name: pods.get(name), {}).get(80, ())
    expected = ["10.0.0.1"] if stays else list(others)
    assert [(each.address, each.doubtful) for each in found] == [(each, False) for each in expected]


def test_trimmed_pods_keep_what_is_read() -> None:
    full = pod("p", managedFields=[{}], resourceVersion="7")
    port = {"name": "http", "containerPort": 8080, "protocol": "TCP"}
    full["spec"] = {"serviceAccountName": "sa", "containers": [{"image": "x", "ports": [port]}]}
    full["status"] = {"phase": "Running"}
    trimmed = trim_pod(full)
    assert "managedFields" not in trimmed["metadata"]
    assert "status" not in trimmed
    assert trimmed["spec"]["containers"] == [{"ports": [{"name": "http", "containerPort": 8080}]}]


@pytest.mark.parametrize(
    ("pod_is", "spec", "doubtful"),
    [
        pytest.param(
            {"Ready": "False", "ContainersReady": "True"}, {}, True, id="its node is silent"
        ),
        pytest.param({"Ready": "True", "ContainersReady": "True"}, {}, True, id="the slice lags"),
        pytest.param({"Ready": "False", "ContainersReady": "False"}, {}, None, id="a probe fails"),
        pytest.param(
            {"Ready": "False", "ContainersReady": "True"},
            {"readinessGates": [{"conditionType": "example.com/ready"}]},
            None,
            id="somebody else's gate is shut",
        ),
    ],
)
def test_a_pod_that_is_unready_for_its_nodes_silence_stays_as_the_last_resort(
    pod_is: dict[str, str], spec: Json, doubtful: bool | None
) -> None:
    web = plain_service()
    conditions = [{"type": type_, "status": status} for type_, status in pod_is.items()]
    known = trim_pod(pod("pod-1") | {"spec": spec, "status": {"conditions": conditions}})
    piece = {
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [entry("10.0.0.1", ready=False)],
    }
    found = endpoints(web, [piece], lambda _, name: known, {})
    assert [each.doubtful for each in found.get(80, ())] == ([] if doubtful is None else [doubtful])
