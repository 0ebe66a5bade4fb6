"""Canaries and experiments in one controller: experiments as part of an analysis, and faults that do not count."""

from __future__ import annotations

from rollout.api.kinds import CANARY, CHAOS_EXPERIMENT, DEPLOYMENT
from tests.integration.chaos.support import ChaosLab
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment

CHECK = {"name": "errors", "query": "vector(0.5)", "thresholdRange": {"max": 1}}
STEADY = {
    "probes": [
        {
            "name": "steady",
            "type": "prometheus",
            "mode": "OnChaos",
            "query": "vector(1)",
            "comparator": {"criteria": "==", "value": 1},
        }
    ]
}


async def test_a_revision_must_withstand_the_experiments_of_its_analysis(
    chaos_lab: ChaosLab,
) -> None:
    lab = Lab(client=chaos_lab.client, namespace=chaos_lab.namespace, options=chaos_lab.options)
    quiet = {"target": {"service": "checkout"}, "fault": None, "duration": "3s"}
    await chaos_lab.create("withstands", **quiet, steadyState=STEADY)
    analysis = {
        "interval": "1s",
        "threshold": 2,
        "stepWeight": 25,
        "metrics": [CHECK],
        "chaos": [{"name": "withstands"}],
    }
    release = canary(analysis=analysis)
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    async with lab.watched(), chaos_lab.controller():
        await lab.phase("Initialized")
        waits = await chaos_lab.status("withstands")
        assert waits["reason"] == "waits for the analysis of the Canary that names it"
        assert "runID" not in waits
        await lab.new_image("catalog:2")
        await lab.phase("Succeeded")
        first = await chaos_lab.status("withstands")
        assert (first["phase"], first["verdict"]) == ("Completed", "Pass")
        assert first["runRequest"].startswith("catalog-release/")

        broken = [{**STEADY["probes"][0], "query": "vector(0)"}]
        body = {"spec": {"steadyState": {"probes": broken}}}
        await lab.client.patch(CHAOS_EXPERIMENT, lab.namespace, "withstands", body)
        await lab.new_image("catalog:3")
        await lab.phase("Failed")
        second = await chaos_lab.status("withstands")
        assert second["verdict"] == "Fail"
        assert second["runRequest"] != first["runRequest"]
    said = f"ChaosExperiment {lab.namespace}/withstands ended with Fail"
    assert any(said in event for event in await lab.events())


async def test_checks_do_not_count_while_the_service_is_broken(chaos_lab: ChaosLab) -> None:
    lab = Lab(client=chaos_lab.client, namespace=chaos_lab.namespace, options=chaos_lab.options)
    check = {**CHECK, "query": "vector(7)"}
    release = canary(
        analysis={"interval": "1s", "threshold": 2, "stepWeight": 25, "metrics": [CHECK]}
    )
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    async with lab.watched(), chaos_lab.controller():
        await lab.phase("Initialized")
        await chaos_lab.create("breaks", target={"service": "catalog"}, duration="8s")
        await chaos_lab.phase("Injecting", name="breaks")
        analysis = {"spec": {"analysis": {"metrics": [check]}}}
        await lab.client.patch(CANARY, lab.namespace, "catalog-release", analysis)
        await lab.new_image("catalog:2")
        await lab.phase("Progressing")
        await chaos_lab.phase("Recovering", name="breaks")
        status = await lab.status()
        assert status["phase"] == "Progressing"
        assert status["failedChecks"] == 0
        await lab.phase("Failed")
    message = f"advancement ChaosExperiment {lab.namespace}/breaks breaks its service"
    assert any(message in event for event in await lab.events())
