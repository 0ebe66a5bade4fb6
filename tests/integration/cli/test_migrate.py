"""A cluster where Flagger ran: what the check says of it, and that it comes true."""

from __future__ import annotations

import json
from typing import Any

from rollout.api.kinds import CANARY, DEPLOYMENT
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.cli.test_canary import Cli
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment
from tests.waiting import until

FLAGGERS = {"lastAppliedSpec": "5474b9f6c4", "lastPromotedSpec": "5474b9f6c4"}


async def flagger(lab: Lab, replicas: int) -> None:
    """A Deployment of Flagger in the test's namespace."""
    obj: Any = deployment("registry.example/fluxcd/flagger:1.44.0", replicas)
    obj["metadata"] = {"name": "flagger", "namespace": lab.namespace}
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["args"] = ["-mesh-provider=istio", "-metrics-server=http://prometheus:9090"]
    await lab.client.create(DEPLOYMENT, obj)
    lab.stuck.add("flagger")


async def test_a_cluster_of_flaggers(lab: Lab, apiserver: ApiServer) -> None:
    metric = {"name": "errors", "query": "vector(0.5)", "thresholdRange": {"max": 1}}
    release = canary(analysis={"interval": "1s", "threshold": 2, "metrics": [metric]})
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    async with lab.controller():
        await lab.phase("Initialized")
    name = "catalog-release"
    await lab.patch(CANARY, name, {"status": FLAGGERS}, subresource="status")
    flagger_id = {"flagger-id": "0e8f6c3a-9f0e-4b8e-9a51-7d9f8e0b6c11"}
    template = {"template": {"metadata": {"annotations": flagger_id}}}
    await lab.patch(DEPLOYMENT, "catalog-primary", {"spec": template})
    await flagger(lab, 1)
    before = await everything(lab)

    cli = Cli(lab, apiserver.kubeconfig)
    checked = await cli("migrate", "check", "-o", "json")
    found = json.loads(checked.out)
    assert (checked.code, found["exitCode"]) == (1, 1)
    mine = next(each for each in found["flagger"] if each["namespace"] == lab.namespace)
    stop = f"kubectl -n {lab.namespace} scale deployment flagger --replicas=0"
    assert stop in mine["findings"][0]["remedy"]
    (report,) = found["canaries"]
    assert report["afterwards"].endswith("nothing is rolled out")
    table = await cli("migrate", "check")
    assert stop in table.out
    assert "nothing is rolled out" in table.out
    assert await everything(lab) == before, "a check changes nothing"

    await lab.client.delete(DEPLOYMENT, lab.namespace, "flagger")
    assert (await cli("migrate", "check")).code == 0
    lab.shown.clear()
    async with lab.controller():

        async def taken() -> bool:
            return str((await lab.status())["lastAppliedSpec"]).startswith("v1-")

        await until(taken, "it is taken over")
        assert [phase for phase, _ in lab.shown if phase != "Initialized"] == []
        primary = await lab.get(DEPLOYMENT, "catalog-primary")
        assert primary["spec"]["template"]["metadata"]["annotations"] == flagger_id
        await lab.new_image("catalog:2")
        await lab.phase("Succeeded")


async def everything(lab: Lab) -> list[Object]:
    """The canary and the workloads, as they are."""
    await until(lambda: settled(lab), "the Deployments' status is written")
    return [
        each for kind in (CANARY, DEPLOYMENT) for each in await lab.client.list(kind, lab.namespace)
    ]


async def settled(lab: Lab) -> bool:
    found = await lab.client.list(DEPLOYMENT, lab.namespace)
    return all(
        (each.get("status") or {}).get("observedGeneration") == each["metadata"]["generation"]
        for each in found
        if each["metadata"]["name"] not in lab.stuck
    )
