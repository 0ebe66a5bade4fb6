"""Every kind of target under Kubernetes' own controllers; the test plays the kubelet, whose pods are ready at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import yaml

from e2e.cluster.build import module_directory
from rollout.api.kinds import (
    CANARY,
    DAEMON_SET,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    NAMESPACE,
    NODE,
    POD,
    POD_DISRUPTION_BUDGET,
    SCALED_OBJECT,
    SERVICE,
    STATEFUL_SET,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.delivery.objects.scalers import PAUSED
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, KubeError
from rollout.kube.objects import Object, annotations_of, labels_of
from tests.integration.apiserver import ApiServer, api_server
from tests.integration.crds import install_crds, installed
from tests.integration.delivery.support import Lab, options
from tests.unit.delivery.test_guards import budget, scaler
from tests.unit.delivery.world import canary, merged, target, target_ref
from tests.waiting import until

KEDA = "github.com/kedacore/keda/v2@v2.18.1"
METRIC = {"name": "errors", "query": "vector(0.5)", "thresholdRange": {"max": 1}}
GENERATED = (
    *(DAEMON_SET, STATEFUL_SET, SERVICE, VIRTUAL_SERVICE),
    *(HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET),
)


@pytest.fixture(scope="module")
def controlled() -> Iterator[ApiServer]:
    with api_server(controllers=True) as server:
        yield server


@pytest.fixture
async def lab(controlled: ApiServer, metrics_server: str) -> AsyncIterator[Lab]:
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    async with await Client.connect(str(controlled.kubeconfig)) as client:
        await install_crds(client)
        await client.create(NAMESPACE, {"metadata": {"name": namespace}})
        with suppress(AlreadyExists):
            await client.create(NODE, {"metadata": {"name": "node-a"}})
        made = Lab(
            client=client,
            namespace=namespace,
            options=options(controlled.kubeconfig, namespace, metrics_server),
        )
        async with made.watched(), kubelet(made):
            yield made


@asynccontextmanager
async def kubelet(lab: Lab) -> AsyncIterator[None]:
    """Every pod runs and is ready."""
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "conditions": [ready]}

    async def run() -> None:
        while True:
            with suppress(KubeError):
                for pod in await lab.client.list(POD, lab.namespace):
                    if ready["type"] not in {
                        each["type"] for each in pod["status"].get("conditions") or ()
                    }:
                        name = pod["metadata"]["name"]
                        await lab.patch(POD, name, {"status": status}, subresource="status")
            await asyncio.sleep(0.05)

    running = asyncio.ensure_future(run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def apply(lab: Lab, *objects: tuple[Kind, Object]) -> None:
    for kind, obj in objects:
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)


def release(kind: str, **spec: Any) -> Object:
    analysis = {"interval": "1s", "threshold": 2, "metrics": [METRIC], "stepWeight": 25}
    return canary(targetRef=target_ref(kind), analysis=analysis, **spec)


async def images(lab: Lab, app: str) -> list[str]:
    """What the pods with this label run."""
    pods = await lab.client.list(POD, lab.namespace)
    return sorted(
        str(pod["spec"]["containers"][0]["image"])
        for pod in pods
        if labels_of(pod).get("app") == app and not pod["metadata"].get("deletionTimestamp")
    )


async def changed(lab: Lab, kind: Kind, image: str) -> None:
    template = (await lab.get(kind, "catalog"))["spec"]["template"]
    template["spec"]["containers"][0]["image"] = image
    await lab.patch(kind, "catalog", {"spec": {"template": template}})


async def nothing_is_left(lab: Lab, *theirs: str) -> None:
    """The canary goes, and with it everything that it brought."""
    canary = await lab.get(CANARY, "catalog-release")
    await lab.client.delete(CANARY, lab.namespace, "catalog-release", canary["metadata"]["uid"])

    async def left() -> bool:
        names = {
            f"{kind.kind}/{each['metadata']['name']}"
            for kind in GENERATED
            for each in await lab.client.list(kind, lab.namespace)
        }
        return names == set(theirs)

    await until(left, f"only {theirs}")


async def test_a_daemon_set(lab: Lab) -> None:
    await apply(lab, (DAEMON_SET, target("DaemonSet")), (CANARY, release("DaemonSet")))
    async with lab.controller():
        await lab.phase("Initialized")
        assert await images(lab, "catalog-primary") == ["catalog:1"]
        await until(lambda: no_pods(lab), "the target to have no pods")
        await changed(lab, DAEMON_SET, "catalog:2")
        await lab.phase("Progressing")
        await lab.phase("Succeeded")
        assert await images(lab, "catalog-primary") == ["catalog:2"]
        await until(lambda: no_pods(lab), "the target to have no pods again")
        assert lab.weights == [(100, 0), (75, 25), (50, 50), (100, 0)]
        await nothing_is_left(lab, "DaemonSet/catalog")


async def no_pods(lab: Lab) -> bool:
    return not await images(lab, "catalog")


async def test_a_stateful_set_with_a_scaler_and_a_budget(lab: Lab) -> None:
    scaled = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "catalog"}
    peers = {
        "metadata": {"name": "peers"},
        "spec": {"clusterIP": "None", "selector": {"app": "catalog"}, "ports": [{"port": 7000}]},
    }
    ref = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "load"}
    await apply(
        lab,
        (SERVICE, peers),
        (STATEFUL_SET, merged(target("StatefulSet"), {"spec": {"serviceName": "peers"}})),
        (HORIZONTAL_POD_AUTOSCALER, scaler(scaleTargetRef=scaled)),
        (POD_DISRUPTION_BUDGET, budget()),
        (CANARY, release("StatefulSet", autoscalerRef=ref)),
    )
    async with lab.controller():
        await lab.phase("Initialized")

        async def scaled_by_its_own() -> bool:
            return await images(lab, "catalog-primary") == ["catalog:1"] * 3

        await until(scaled_by_its_own, "three pods of the primary")
        await until(lambda: no_pods(lab), "the target to have no pods")
        primary = await lab.get(STATEFUL_SET, "catalog-primary")
        assert primary["spec"]["serviceName"] == "peers-primary"
        pods = await lab.client.list(POD, lab.namespace)
        assert {pod["spec"]["subdomain"] for pod in pods} == {"peers-primary"}
        assert (await lab.get(SERVICE, "peers-primary"))["spec"]["clusterIP"] == "None"
        kept = await lab.get(POD_DISRUPTION_BUDGET, "calm-primary")
        assert kept["spec"]["selector"] == {"matchLabels": {"app": "catalog-primary"}}
        await changed(lab, STATEFUL_SET, "catalog:2")
        await lab.phase("Succeeded")
        assert await images(lab, "catalog-primary") == ["catalog:2"] * 3
        await until(lambda: no_pods(lab), "the target to have no pods again")
        assert lab.weights == [(100, 0), (75, 25), (50, 50), (100, 0)]
        await nothing_is_left(
            lab,
            "StatefulSet/catalog",
            "Service/peers",
            "HorizontalPodAutoscaler/load",
            "PodDisruptionBudget/calm",
        )


async def test_a_deployment_with_a_scaled_object(lab: Lab) -> None:
    """By KEDA's own definition; what KEDA's operator makes of it is not part of this."""
    crds = module_directory("parts", KEDA) / "config" / "crd" / "bases"
    await installed(lab.client, yaml.safe_load((crds / "keda.sh_scaledobjects.yaml").read_text()))
    about = {"serverAddress": "http://p", "threshold": "5", "query": "sum(r{app='catalog'})"}
    source = scaler("ScaledObject", triggers=[{"type": "prometheus", "metadata": about}])
    ref = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "load"}
    await apply(
        lab,
        (DEPLOYMENT, target()),
        (SCALED_OBJECT, source),
        (CANARY, release("Deployment", autoscalerRef=ref)),
    )

    async def asleep() -> bool:
        return annotations_of(await lab.get(SCALED_OBJECT, "load")).get(PAUSED) == "0"

    async def awake() -> bool:
        return PAUSED not in annotations_of(await lab.get(SCALED_OBJECT, "load"))

    async with lab.controller():
        await lab.phase("Initialized")
        await until(asleep, "the target's scaler to be paused")
        made = await lab.get(SCALED_OBJECT, "load-primary")
        assert made["spec"]["scaleTargetRef"]["name"] == "catalog-primary"
        query = made["spec"]["triggers"][0]["metadata"]["query"]
        assert query == "sum(r{app='catalog-primary'})"
        await changed(lab, DEPLOYMENT, "catalog:2")
        await until(awake, "the target's scaler to work")
        await lab.phase("Succeeded")
        await until(asleep, "the target's scaler to be paused again")
        after = await lab.get(SCALED_OBJECT, "load-primary")
        assert after["metadata"]["generation"] == 1, "what the server made of it is left alone"
        assert lab.weights == [(100, 0), (75, 25), (50, 50), (100, 0)]


async def test_a_service(lab: Lab) -> None:
    service = merged(target("Service"), {"spec": {"type": "NodePort"}})
    await apply(lab, (SERVICE, service), (CANARY, release("Service")))
    async with lab.controller():
        await lab.phase("Initialized")
        before = await lab.get(SERVICE, "catalog")
        await lab.patch(SERVICE, "catalog", {"spec": {"selector": {"image": "catalog-2"}}})
        await lab.phase("Succeeded")
        for name in ("catalog-primary", "catalog-canary"):
            made = await lab.get(SERVICE, name)
            assert made["spec"]["selector"] == {"app": "catalog", "image": "catalog-2"}
            assert made["spec"]["type"] == "ClusterIP"
            assert made["spec"]["clusterIP"] != before["spec"]["clusterIP"]
        assert lab.weights == [(100, 0), (75, 25), (50, 50), (100, 0)]
        await nothing_is_left(lab, "Service/catalog")
