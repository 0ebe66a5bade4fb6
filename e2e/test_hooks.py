"""Gates on the real cluster: a release begins and ends when people say so, under load that a hook makes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from e2e.kubectl import until
from e2e.lab import ROOT, SYSTEM, Lab

NAMESPACE = "gated"
_OPEN = (
    "import sys, urllib.request as r;"
    " r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode(), method='POST'), timeout=5)"
)


@pytest.fixture
def gated(cluster: Lab) -> Iterator[Lab]:
    """podinfo in a namespace of its own, with its gates closed."""
    _remove(cluster)
    # The load tester is the image that the controller runs.
    controller = cluster.kubectl.json("get", "deployment", "rollout-controller", "-n", SYSTEM)
    image = controller["spec"]["template"]["spec"]["containers"][0]["image"]
    app = (ROOT / "e2e" / "gated" / "app.yaml").read_text().replace("ROLLOUT", image)
    cluster.kubectl.run("apply", "-f", "-", stdin=app)
    for name in ("podinfo", "gates"):
        cluster.kubectl.run(
            "rollout", "status", f"deployment/{name}", "-n", NAMESPACE, "--timeout=90s", timeout=100
        )
    cluster.kubectl.apply(ROOT / "e2e" / "gated" / "canary.yaml")
    until("Initialized", lambda: _phase(cluster) == "Initialized", timeout=90)
    yield cluster
    _remove(cluster)


def test_a_release_begins_and_ends_when_people_say_so(gated: Lab) -> None:
    gated.kubectl.run(
        "set", "image", "deployment/podinfo", "podinfo=localhost/rollout/podinfo:6.9.1",
        "-n", NAMESPACE,
    )  # fmt: skip
    until("Waiting", lambda: _phase(gated) == "Waiting", timeout=20)
    target = gated.kubectl.json("get", "deployment", "podinfo", "-n", NAMESPACE)
    assert target["spec"]["replicas"] == 0, "nothing of it runs before it is approved"
    _open(gated, "gate/open")
    until("WaitingPromotion", lambda: _phase(gated) == "WaitingPromotion", timeout=150)
    assert _status(gated)["canaryWeight"] == 50
    logs = gated.kubectl.run("logs", "deployment/gates", "-n", NAMESPACE)
    assert "fortio" in logs, "the hook's load ran"
    _open(gated, "rollback/open")
    until("Succeeded", lambda: _phase(gated) == "Succeeded", timeout=150)
    until("the last hook", lambda: _condition(gated, "PostRollout") == "True", timeout=20)
    primary = gated.kubectl.json("get", "deployment", "podinfo-primary", "-n", NAMESPACE)
    assert primary["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":6.9.1")
    said = gated.kubectl.run("describe", "canary", "podinfo", "-n", NAMESPACE)
    for words in (
        "Halt podinfo.gated advancement waiting for approval begin",
        "Confirm-rollout check begin passed",
        "Halt podinfo.gated advancement waiting for promotion approval end",
        "Confirm-promotion check end passed",
        "Post-rollout check told passed",
    ):
        assert words in said


def _open(lab: Lab, path: str) -> None:
    payload = json.dumps({"name": "podinfo", "namespace": NAMESPACE})
    url = f"http://127.0.0.1:8080/{path}"
    lab.kubectl.run(
        "exec", "deployment/gates", "-n", NAMESPACE, "--", "python3", "-c", _OPEN, url, payload
    )


def _status(lab: Lab) -> dict[str, object]:
    found = lab.kubectl.json("get", "canary", "podinfo", "-n", NAMESPACE)
    status: dict[str, object] = found.get("status", {})
    return status


def _phase(lab: Lab) -> str:
    return str(_status(lab).get("phase", ""))


def _condition(lab: Lab, type_: str) -> str:
    conditions = _status(lab).get("conditions") or []
    assert isinstance(conditions, list)
    return next((c["status"] for c in conditions if c["type"] == type_), "")


def _remove(lab: Lab) -> None:
    lab.kubectl.run(
        "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=100
    )
