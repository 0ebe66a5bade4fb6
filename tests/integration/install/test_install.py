"""The installer on a real API server with its controllers; no pods run, so nothing becomes ready."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rollout.api.kinds import (
    CANARY,
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    LEASE,
    MUTATING_WEBHOOK,
    NAMESPACE,
    SECRET,
)
from rollout.install import installer
from rollout.install.chart import Rendered, render
from rollout.install.check import Finding, check
from rollout.install.errors import InstallError
from rollout.install.inventory import KINDS, OURS, SELECTOR
from rollout.install.neighbours import refuse_if_unfit
from rollout.install.uninstall import uninstall
from rollout.install.values import parse_set
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import version_of
from rollout.kube.shards import GROUP
from rollout.mesh.reports import NAME as REPORTS
from tests.integration.apiserver import ApiServer, api_server

SYSTEM = "rollout-system"
FULL = "image=rollout:1,prometheus.install=true"


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server(controllers=True) as started:
        yield started


@pytest.fixture
async def admin(server: ApiServer) -> AsyncIterator[Client]:
    """An administrator of a server that all tests share; CRDs, which are slow to go, stay between them."""
    async with await Client.connect(str(server.kubeconfig)) as client:
        yield client
        for namespace in await client.list(NAMESPACE):
            name = namespace["metadata"]["name"]
            if name.startswith("system-"):
                await uninstall(client, name, purge=False, timeout=90, say=Said())


@pytest.fixture
async def first() -> AsyncIterator[Client]:
    """An administrator of a server on which nothing was ever installed."""
    with api_server(controllers=True) as server:
        async with await Client.connect(str(server.kubeconfig)) as client:
            yield client


@pytest.fixture
async def system(admin: Client) -> str:
    """A namespace that was there before."""
    name = f"system-{uuid.uuid4().hex[:8]}"
    await admin.create(NAMESPACE, {"metadata": {"name": name}})
    return name


class Said(list[str]):
    """What the user was told."""

    def __call__(self, line: str) -> None:
        self.append(line)

    def has(self, part: str) -> bool:
        return any(part in line for line in self)


def rendered(namespace: str, values: str = FULL) -> Rendered:
    return render(namespace, parse_set(values))


async def installed(client: Client) -> list[str]:
    found = []
    for kind in (*KINDS, CUSTOM_RESOURCE_DEFINITION, NAMESPACE):
        objects = await client.list(kind, label_selector=SELECTOR)
        found += [f"{kind.kind} {obj['metadata']['name']}" for obj in objects]
    return found


async def test_a_second_run_changes_nothing_and_an_uninstall_leaves_nothing(first: Client) -> None:
    said = Said()
    before = await installed(first)
    made = await installer.install(first, rendered(SYSTEM), say=said)
    assert len(made.created) == len(rendered(SYSTEM).objects) + len(rendered(SYSTEM).crds) + 1
    versions = await resource_versions(first)

    again = await installer.install(first, rendered(SYSTEM), say=said)
    assert (again.created, again.changed, again.pruned) == ([], [], [])
    assert await resource_versions(first) == versions

    smaller = await installer.install(first, rendered(SYSTEM, "image=rollout:1"), say=said)
    assert smaller.changed == ["Deployment rollout-system/rollout-controller"]
    assert "Deployment rollout-system/rollout-prometheus" in smaller.pruned

    await first.create(
        SECRET, {"metadata": {"namespace": SYSTEM, "name": "rollout-controller-webhook"}}
    )
    labels = {"app.kubernetes.io/managed-by": "rollout", "istio.io/config": "true"}
    roots = {"namespace": "default", "name": "istio-ca-root-cert", "labels": labels}
    await first.create(CONFIG_MAP, {"metadata": roots})
    await first.create(SECRET, {"metadata": {"namespace": SYSTEM, "name": "istio-ca-secret"}})
    await uninstall(first, SYSTEM, purge=True, timeout=90, say=said)
    with pytest.raises(NotFound):
        await first.get(CONFIG_MAP, "default", "istio-ca-root-cert")
    assert await installed(first) == before == []
    with pytest.raises(NotFound):
        await first.get(NAMESPACE, None, SYSTEM)
    assert await uninstall(first, SYSTEM, purge=True, timeout=90, say=said) == 0


async def resource_versions(client: Client) -> dict[str, str]:
    found = {}
    for kind in (*KINDS, CUSTOM_RESOURCE_DEFINITION):
        for obj in await client.list(kind, label_selector=SELECTOR):
            metadata = obj["metadata"]
            # The controllers write a Deployment's status meanwhile.
            key = "generation" if kind == DEPLOYMENT else "resourceVersion"
            found[f"{kind.kind} {metadata['name']}"] = str(metadata[key])
    return found


async def test_canaries_and_a_namespace_of_somebody_elses_stay(admin: Client, system: str) -> None:
    said = Said()
    await installer.install(admin, rendered(system), say=said)
    canary: dict[str, Any] = {
        "apiVersion": CANARY.api_version,
        "kind": CANARY.kind,
        "metadata": {"namespace": "default", "name": "catalog"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"},
            "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 5, "maxWeight": 50, "stepWeight": 10},
        },
    }
    await admin.create(CANARY, canary)
    made = {"namespace": system, "name": "rollout-mesh-leader", "labels": {GROUP: "rollout-mesh"}}
    await admin.create(LEASE, {"metadata": made})
    theirs: dict[str, Any] = {"namespace": system, "name": "somebody-elses"}
    await admin.create(LEASE, {"metadata": theirs})
    await admin.create(CONFIG_MAP, {"metadata": {"namespace": system, "name": REPORTS}})
    await uninstall(admin, system, purge=False, timeout=90, say=said)
    assert said.has("warning: 1 Canary objects stay (such as default/catalog)")
    assert said.has(f"keeping {len(rendered(system).crds)} CustomResourceDefinitions")
    assert await admin.get(CANARY, "default", "catalog")
    await admin.delete(CANARY, "default", "catalog")
    assert (await admin.get(NAMESPACE, None, system))["status"]["phase"] == "Active"
    left = await admin.list(LEASE, system)
    assert [each["metadata"]["name"] for each in left] == ["somebody-elses"]
    with pytest.raises(NotFound):
        await admin.get(CONFIG_MAP, system, REPORTS)


async def test_what_does_not_become_ready_is_named_in_time(first: Client) -> None:
    said = Said()
    wanted = rendered(SYSTEM, "image=rollout:1,mesh.mode=none")
    await installer.install(first, wanted, say=said)
    with pytest.raises(InstallError, match=r"rollout-controller is not ready after 1 s: 0 of 1"):
        await installer.wait(first, wanted, timeout=1, say=said)
    assert said.has(f"waiting for Deployment {SYSTEM}/rollout-controller")
    findings = {finding.subject: finding async for finding in check(first, SYSTEM)}
    assert findings["API server"].ok
    assert findings["permissions"].ok
    assert not findings["rollout-controller"].ok
    assert "virtualservices.networking.istio.io" in findings["CustomResourceDefinitions"].detail
    assert all(finding.remedy for finding in findings.values() if not finding.ok)


async def test_what_holds_an_object_is_named(admin: Client, system: str) -> None:
    await installer.install(admin, rendered(system), say=Said())
    held = {"metadata": {"finalizers": ["example.com/hold"]}}
    await admin.patch(DEPLOYMENT, system, "rollout-controller", held)
    with pytest.raises(InstallError, match=r"rollout-controller .* after 5 s .*example\.com/hold"):
        await uninstall(admin, system, purge=False, timeout=5, say=Said())
    await admin.patch(DEPLOYMENT, system, "rollout-controller", {"metadata": {"finalizers": None}})


async def test_before_an_installation_the_check_says_so(admin: Client, system: str) -> None:
    findings: list[Finding] = [finding async for finding in check(admin, system)]
    assert [(finding.subject, finding.ok) for finding in findings] == [
        ("API server", True),
        ("permissions", True),
        ("installation", False),
    ]


ISTIOD = {
    "metadata": {"namespace": "default", "name": "istiod", "labels": {"app": "istiod"}},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "discovery", "image": "pilot"}]},
        },
    },
}


async def test_the_bundled_mesh_keeps_away_from_an_istio(first: Client) -> None:
    await refuse_if_unfit(first, "bundled")
    for mode in ("existing", "none"):
        with pytest.raises(InstallError, match=f"no Istio in this cluster .* with --mesh {mode}"):
            await refuse_if_unfit(first, mode)

    await first.create(MUTATING_WEBHOOK, {"metadata": {"name": "istio-sidecar-injector-1-27"}})
    with pytest.raises(InstallError, match=r"istio-sidecar-injector-1-27.*--mesh existing"):
        await refuse_if_unfit(first, "bundled")
    await first.delete(MUTATING_WEBHOOK, None, "istio-sidecar-injector-1-27")

    await first.create(DEPLOYMENT, ISTIOD)
    with pytest.raises(InstallError, match="Deployment default/istiod"):
        await refuse_if_unfit(first, "bundled")
    await first.delete(DEPLOYMENT, "default", "istiod")

    crds = rendered("any").crds
    istios = next(crd for crd in crds if crd["metadata"]["name"].startswith("virtualservices."))
    labels = {"app": "istio-pilot", "chart": "istio"}
    await first.create(
        CUSTOM_RESOURCE_DEFINITION,
        {**istios, "metadata": {"name": istios["metadata"]["name"], "labels": labels}},
    )
    with pytest.raises(InstallError, match="CustomResourceDefinition virtualservices"):
        await refuse_if_unfit(first, "bundled")
    await refuse_if_unfit(first, "existing")
    await refuse_if_unfit(first, "none")


async def test_our_own_installation_is_no_foreign_istio(admin: Client, system: str) -> None:
    await installer.install(admin, rendered(system), say=Said())
    await refuse_if_unfit(admin, "bundled")


async def test_an_installation_by_helm_is_left_to_helm(admin: Client, system: str) -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "mine"}
    metadata = {"namespace": system, "name": "rollout-controller", "labels": labels}
    await admin.create(DEPLOYMENT, {**ISTIOD, "metadata": metadata})
    with pytest.raises(InstallError, match="helm upgrade mine -n system-"):
        await installer.install(admin, rendered(system), say=Said())


async def test_a_crd_of_somebody_elses_stays_as_it_is(admin: Client, system: str) -> None:
    name = "canaries.flagger.app"
    await installer.install(admin, rendered(system), say=Said())
    labels = {"metadata": {"labels": dict.fromkeys(OURS)}}
    foreign = await admin.patch(CUSTOM_RESOURCE_DEFINITION, None, name, labels)
    said = Said()
    await installer.install(admin, rendered(system), say=said)
    assert said.has(f"keeping CustomResourceDefinition {name}")
    served = await admin.get(CUSTOM_RESOURCE_DEFINITION, None, name)
    assert version_of(served) == version_of(foreign)
    await admin.patch(CUSTOM_RESOURCE_DEFINITION, None, name, {"metadata": {"labels": OURS}})
