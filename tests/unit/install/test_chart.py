from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.install.chart import dump, load_values, render
from rollout.install.errors import InstallError
from rollout.install.values import parse_set

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "rollout"

VARIANTS = {
    "defaults": "image=rollout:1",
    "demo": "image=rollout:1,prometheus.install=true,gateway.hostPort=8080,controller.minimumInterval=3s",
    "existing": "image=rollout:1,mesh.mode=existing,metricsServer=http://prometheus.istio-system:9090",
    "no gateway": "image=rollout:1,gateway.enabled=false,configTracking.enabled=false",
    "one namespace": "image=rollout:1,namespace=shop,includeLabelPrefix=app,clusterName=west,"
    "podAnnotations.a=b,prometheus.install=true,mesh.nodeSelector.disk=ssd,gateway.nodePort=30080",
    "a revision": "image=rollout:1,mesh.revision=blue",
    "one control plane": "image=rollout:1,mesh.replicas=1",
    "hooks": "image=rollout:1,loadtester.enabled=true,loadtester.programs.fortio=/usr/bin/fortio,"
    "loadtester.namespaceRegexp=^shop$,alertsSecret=chats,slack.channel=ops,"
    "eventWebhook=http://bus,noCrossNamespaceRefs=true",
}


@cache
def helm() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "e2e.cluster", "build", "helm"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.split()[-1]


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """As the API server reads a label selector."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for each in selector.get("matchExpressions", ()):
        value = labels.get(each["key"])
        holds = {
            "In": value in each.get("values", ()),
            "NotIn": value not in each.get("values", ()),
            "DoesNotExist": value is None,
        }
        if not holds[each["operator"]]:
            return False
    return True


@pytest.mark.parametrize(
    ("namespace", "pod", "revisions"),
    [
        ({}, {}, set()),
        ({"istio-injection": "enabled"}, {}, {"default"}),
        ({"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, set()),
        ({"istio-injection": "enabled", "istio.io/rev": "blue"}, {}, {"default"}),
        ({"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, set()),
        ({"istio.io/rev": "blue"}, {}, {"blue"}),
        ({"istio.io/rev": "default"}, {}, {"default"}),
        ({"istio.io/rev": "blue"}, {"sidecar.istio.io/inject": "false"}, set()),
        ({}, {"sidecar.istio.io/inject": "true"}, {"default"}),
        ({}, {"istio.io/rev": "blue"}, {"blue"}),
        ({}, {"istio.io/rev": "blue", "sidecar.istio.io/inject": "true"}, {"blue"}),
    ],
)
def test_each_pod_is_one_revisions_at_most(
    namespace: dict[str, str], pod: dict[str, str], revisions: set[str]
) -> None:
    asked = []
    for revision in ("default", "blue"):
        found = render("rollout-system", parse_set(f"image=rollout:1,mesh.revision={revision}"))
        config = by_name(found.objects)["MutatingWebhookConfiguration", "rollout-sidecar-injector"]
        asked += [
            revision
            for webhook in config["webhooks"]
            if selects(webhook["namespaceSelector"], namespace)
            and selects(webhook["objectSelector"], pod)
        ]
    assert sorted(asked) == sorted(revisions)


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_helm_renders_the_same_objects(values: str) -> None:
    done = subprocess.run(
        [helm(), "template", "rollout", CHART, "-n", "rollout-system", "--set", values],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # The one thing that is meant to differ: who manages the objects.
    text = done.stdout.replace("managed-by: Helm", "managed-by: rollout")
    theirs = [obj for obj in yaml.safe_load_all(text) if obj]
    ours = render("rollout-system", parse_set(values)).objects
    assert by_name(ours) == by_name(theirs)
    assert len(ours) == len(theirs)


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    done = subprocess.run(
        [helm(), "lint", CHART, "--strict", "--set", "image=rollout:1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def pods(values: str) -> dict[str, dict[str, Any]]:
    objects = render("rollout-system", parse_set(values)).objects
    return {
        obj["metadata"]["name"]: obj["spec"]["template"]["spec"]
        for obj in objects
        if obj["kind"] == "Deployment"
    }


def test_several_control_planes_are_kept_apart_and_never_all_away() -> None:
    for replicas, budgets in ((1, 0), (3, 1)):
        values = parse_set(f"image=rollout:1,mesh.replicas={replicas}")
        found = by_name(render("rollout-system", values).objects)
        deployment = found["Deployment", "rollout-mesh"]["spec"]
        assert deployment["replicas"] == replicas
        assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert sum(kind == "PodDisruptionBudget" for kind, _ in found) == budgets
        pod = deployment["template"]
        assert ("affinity" in pod["spec"]) == bool(budgets)
        if budgets:
            budget = found["PodDisruptionBudget", "rollout-mesh"]["spec"]
            assert selects(budget["selector"], pod["metadata"]["labels"])
            assert budget["maxUnavailable"] < replicas


def test_no_container_has_more_rights_than_it_needs() -> None:
    for name, spec in pods(VARIANTS["demo"]).items():
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"], name
            assert not security["allowPrivilegeEscalation"], name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert {"requests", "limits"} <= set(container["resources"]), name


def test_rights_are_listed_one_by_one() -> None:
    for obj in render("rollout-system", parse_set(VARIANTS["demo"])).objects:
        for rule in obj.get("rules") or ():
            listed = [*rule.get("apiGroups", ()), *rule["resources"], *rule["verbs"]]
            assert "*" not in listed, obj["metadata"]["name"]
        if obj["kind"].endswith("RoleBinding"):
            assert obj["roleRef"]["name"] not in ("cluster-admin", "admin", "edit")


def test_without_config_tracking_secrets_are_read_one_by_one() -> None:
    objects = by_name(render("rollout-system", parse_set(VARIANTS["no gateway"])).objects)
    rules = objects["ClusterRole", "rollout-controller"]["rules"]
    verbs = {verb for rule in rules if "secrets" in rule["resources"] for verb in rule["verbs"]}
    assert verbs <= {"get"}


def test_an_existing_mesh_gets_only_the_controller_and_none_of_istios_crds() -> None:
    rendered = render("rollout-system", parse_set(VARIANTS["existing"]))
    assert list(pods(VARIANTS["existing"])) == ["rollout-controller"]
    assert {crd["spec"]["group"] for crd in rendered.crds} == {"flagger.app", "chaos.rollout.dev"}
    bundled = render("rollout-system", parse_set(VARIANTS["defaults"]))
    assert "networking.istio.io" in {crd["spec"]["group"] for crd in bundled.crds}


def test_a_mesh_configuration_that_the_control_plane_would_refuse_is_not_installed() -> None:
    wrong = {"image": "localhost/rollout:1", "meshConfig": {"accessLogFile": "/var/log/x"}}
    with pytest.raises(InstallError, match=r"meshConfig: accessLogFile: .* read-only"):
        render("rollout-system", wrong)


def test_webhooks_are_applied_last() -> None:
    kinds = [obj["kind"] for obj in render("a", parse_set(VARIANTS["demo"])).objects]
    assert all(kind.endswith("WebhookConfiguration") for kind in kinds[-2:])
    assert kinds.index("ServiceAccount") < kinds.index("Deployment")


def test_an_image_must_be_named() -> None:
    with pytest.raises(InstallError, match=r"^image: name the image to run"):
        render("rollout-system", {})


def test_the_dump_is_what_would_be_applied() -> None:
    rendered = render("rollout-system", {"image": "a"})
    assert list(yaml.safe_load_all(dump(rendered))) == [*rendered.crds, *rendered.objects]


@pytest.mark.parametrize("content", ["[1]", "a: [", None], ids=["a list", "not YAML", "no file"])
def test_a_values_file_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "values.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InstallError, match=r"values\.yaml"):
        load_values(path)
