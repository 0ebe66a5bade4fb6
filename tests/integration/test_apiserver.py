"""The API server that the other tests stand on: it keeps its data, can be absent, and says who asked what."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from e2e.cluster.build import build
from tests.integration.apiserver import ApiServer, api_server


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server(controllers=True) as running:
        yield running


def kubectl(server: ApiServer, *arguments: str) -> str:
    return subprocess.run(
        [str(build("kubectl")), "--kubeconfig", str(server.kubeconfig), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout


def test_it_keeps_its_objects_when_it_is_stopped_and_started(server: ApiServer) -> None:
    kubectl(server, "create", "namespace", "kept")
    server.stop()
    assert not server.api.ready()
    server.start()
    assert json.loads(kubectl(server, "get", "namespace", "kept", "-o", "json"))["kind"] == (
        "Namespace"
    )


def test_it_does_not_answer_while_it_is_paused(server: ApiServer) -> None:
    server.pause()
    try:
        assert not server.api.ready()
    finally:
        server.resume()
    assert server.api.ready()


def test_its_requests_are_told_with_user_and_verb(server: ApiServer) -> None:
    before = len(server.requests())
    kubectl(server, "create", "configmap", "told", "--from-literal=a=b")
    made = [entry for entry in server.requests(skip=before) if entry["verb"] == "create"]
    assert [
        (entry["objectRef"]["resource"], entry["objectRef"]["name"], entry["user"]["username"])
        for entry in made
    ] == [("configmaps", "told", "rollout:admin")]


def test_its_controllers_collect_what_has_no_owner_any_more(server: ApiServer) -> None:
    kubectl(server, "create", "deployment", "owned", "--image=none")
    kubectl(server, "wait", "--for=jsonpath={.status.observedGeneration}=1", "deployment/owned")
    assert "owned" in kubectl(server, "get", "replicasets", "-o", "name")
    kubectl(server, "delete", "deployment", "owned", "--cascade=foreground", "--wait=true")
    assert "owned" not in kubectl(server, "get", "replicasets", "-o", "name")
