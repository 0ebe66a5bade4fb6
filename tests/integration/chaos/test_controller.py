"""Experiments with a real API server: how they run, what stops them, and what is left when a controller is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.api.chaos import FINALIZER, HALT_ANNOTATION, RUN_ANNOTATION
from rollout.api.kinds import CHAOS_EXPERIMENT, CHAOS_REPORT, NAMESPACE
from rollout.kube.errors import Invalid
from tests.integration.chaos.support import ChaosLab
from tests.waiting import until

HELD = {"probes": [{"name": "steady", "type": "prometheus", "query": "vector(1)", "comparator": {"criteria": "==", "value": 1}, "runProperties": {"interval": "1s"}}]}  # fmt: skip


async def test_a_run_is_vouched_for_while_it_lasts_and_reported(chaos_lab: ChaosLab) -> None:
    load_only = {"fault": None, "steadyState": HELD, "duration": "3s"}
    async with chaos_lab.controller():
        await chaos_lab.create(duration="4s", steadyState=HELD, recoverDeadline="4s")
        running = await chaos_lab.phase("Injecting")
        assert running["fault"] == "abort 503 50%"
        assert running["remaining"] == "5s"
        await until(chaos_lab.faulted, "vouched for")
        # Nobody's proxy faulted anything here, and that is what it says.
        ended = await chaos_lab.phase("Error", "Completed", "Aborted")
        assert ended["reason"] == "nothing was tested: no faulted request was seen yet"
        await until(lambda: _none(chaos_lab), "no lease is left")
        await chaos_lab.create("quiet", **load_only)
        passed = await chaos_lab.phase("Completed", name="quiet")
        assert passed["verdict"] == "Pass"
        assert passed["probeStatuses"][0]["verdict"] == "Passed"
        assert passed["probeSuccessPercentage"] == 100
        report = await chaos_lab.client.get(CHAOS_REPORT, chaos_lab.namespace, passed["report"])
        assert report["spec"]["steadyStates"] == {"before": True, "during": True, "after": True}
        assert [each["value"] for each in report["spec"]["probes"][0]["samples"]][:2] == [1, 1]
        with pytest.raises(Invalid, match="never changed"):
            await chaos_lab.patch(
                passed["report"], {"spec": {"verdict": "Fail"}}, kind=CHAOS_REPORT
            )
    assert await chaos_lab.events() == [
        *("ChaosStarted", "FaultInjected", "FaultRemoved", "ChaosAborted"),
        *("ChaosStarted", "FaultRemoved", "ChaosCompleted"),
    ]
    assert "FaultInjected" in await chaos_lab.events("Service")


async def _none(lab: ChaosLab) -> bool:
    return not await lab.leases()


async def test_a_steady_state_that_is_lost_ends_it(chaos_lab: ChaosLab) -> None:
    probe = {
        "name": "falls",
        "type": "prometheus",
        "mode": "OnChaos",
        "query": "vector(0)",
        "comparator": {"criteria": ">", "value": 0},
    }
    async with chaos_lab.controller():
        await chaos_lab.create(duration="10m", steadyState={"probes": [probe]})
        ended = await chaos_lab.phase("Aborted")
    assert ended["verdict"] == "Fail"
    assert ended["reason"] == "the steady state was lost: falls is 0, and has to be > 0"
    assert not await chaos_lab.faulted()


async def test_prometheus_gone(chaos_lab: ChaosLab) -> None:
    probe = {**HELD["probes"][0], "mode": "OnChaos", "address": "http://127.0.0.1:9"}
    async with chaos_lab.controller():
        await chaos_lab.create(
            duration="10m", steadyState={"probes": [probe]}, abortPolicy={"onNoData": "abort"}
        )
        ended = await chaos_lab.phase("Error")
    assert "no answer from steady" in ended["reason"]
    assert not await chaos_lab.faulted()


async def test_gates_open_and_close(chaos_lab: ChaosLab) -> None:
    await chaos_lab.enable(None)
    async with chaos_lab.controller():
        await chaos_lab.create()
        await _selected(chaos_lab, "NotOptedIn")
        await chaos_lab.enable()
        await chaos_lab.phase("Injecting")
        await chaos_lab.create("second")
        await _selected(chaos_lab, "ServiceBusy", "second")
        await chaos_lab.patch("slow", {"spec": {"engineState": "stop"}})
        assert (await chaos_lab.phase("Aborted"))["verdict"] == "Stopped"
        await chaos_lab.phase("Injecting", name="second")
        await chaos_lab.enable(None)
        stopped = await chaos_lab.phase("Aborted", name="second")
        assert "has not opted in" in stopped["reason"]
        await chaos_lab.create("lost", target={"service": "nowhere"})
        await chaos_lab.enable()
        await _selected(chaos_lab, "ServiceNotFound", "lost")


async def _selected(lab: ChaosLab, reason: str, name: str = "slow") -> None:
    async def said() -> bool:
        conditions = (await lab.status(name)).get("conditions") or []
        return any(c["type"] == "Selected" and c["reason"] == reason for c in conditions)

    await until(said, reason)


async def test_halting_stops_all_and_keeps_it_so(chaos_lab: ChaosLab) -> None:
    async with chaos_lab.controller():
        await chaos_lab.create()
        await until(chaos_lab.faulted, "vouched for")
        await _halt(chaos_lab, "true")
        assert (await chaos_lab.phase("Aborted"))["verdict"] == "Stopped"
        again = {"metadata": {"annotations": {RUN_ANNOTATION: "2"}}}
        await chaos_lab.patch("slow", again)
        await _selected(chaos_lab, "Halted")
        await _halt(chaos_lab, None)
        await chaos_lab.phase("Injecting")


async def _halt(lab: ChaosLab, value: str | None) -> None:
    body = {"metadata": {"annotations": {HALT_ANNOTATION: value}}}
    await lab.client.patch(NAMESPACE, None, lab.system, body)


async def test_deletion_ends_the_fault_and_is_not_held_up(chaos_lab: ChaosLab) -> None:
    async with chaos_lab.controller():
        await chaos_lab.create(duration="1h")
        await until(chaos_lab.faulted, "vouched for")
        await chaos_lab.client.delete(CHAOS_EXPERIMENT, chaos_lab.namespace, "slow")
        await chaos_lab.gone()
        assert not await chaos_lab.active()
    reports = await chaos_lab.reports()
    assert [each["spec"]["verdict"] for each in reports] == ["Stopped"]


async def test_a_controller_that_ends_leaves_no_fault_and_the_next_says_so(
    chaos_lab: ChaosLab,
) -> None:
    async with chaos_lab.controller():
        await chaos_lab.create(duration="1h")
        await until(chaos_lab.faulted, "vouched for")
    assert not await chaos_lab.leases()
    guarded = await chaos_lab.client.get(CHAOS_EXPERIMENT, chaos_lab.namespace, "slow")
    assert guarded["metadata"]["finalizers"] == [FINALIZER]
    async with chaos_lab.controller():
        ended = await chaos_lab.phase("Error")

        async def let_go() -> bool:
            obj = await chaos_lab.client.get(CHAOS_EXPERIMENT, chaos_lab.namespace, "slow")
            return not obj["metadata"].get("finalizers")

        await until(let_go, "the finalizer is gone with the fault")
    assert ended["verdict"] == "Error"
    assert ended["reason"].startswith("controller lost")
    assert "LeaseExpired" in await chaos_lab.events()


KILLED = """
import asyncio, sys
from pathlib import Path
from dataclasses import replace
from rollout.chaos.controller import Options, chaos
from rollout.delivery.controller import run
from tests.integration.delivery.support import options
kubeconfig, namespace, system, address = sys.argv[1:]
settings = replace(options(Path(kubeconfig), namespace, address), system_namespace=system)
join = chaos(Options(identity=system, system_namespace=system, metrics_server=address))
asyncio.run(run(settings, beside=(join,)))
"""


async def test_kill_9_leaves_no_fault_after_five_seconds(chaos_lab: ChaosLab) -> None:
    settings = chaos_lab.options
    arguments = [str(settings.kubeconfig), chaos_lab.namespace, chaos_lab.system]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, *arguments, settings.metrics_server),
        cwd=Path(__file__).parents[3],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        services = [f"svc-{index}" for index in range(20)]
        for name in services:
            await chaos_lab.service(name)
            await chaos_lab.create(
                name,
                target={"service": name},
                duration="1h",
                blastRadius={"maxConcurrent": 20},
            )

        async def all_of_them() -> bool:
            return set(await chaos_lab.faulted()) == set(services)

        await until(all_of_them, "all are vouched for")
    finally:
        process.kill()
        await process.wait()
    await asyncio.sleep(5)
    assert not await chaos_lab.faulted()
    async with chaos_lab.controller():
        for name in services:
            ended = await chaos_lab.phase("Error", name=name)
            assert ended["verdict"] == "Error"
            assert ended["reason"].startswith("controller lost")
    assert len(await chaos_lab.reports()) == len(services)


async def test_many_started_and_stopped_leave_nothing(chaos_lab: ChaosLab) -> None:
    async with chaos_lab.controller():
        for index in range(8):
            await chaos_lab.create(f"run-{index}", duration="1h")
            await chaos_lab.phase("Injecting", name=f"run-{index}")
            await chaos_lab.client.delete(CHAOS_EXPERIMENT, chaos_lab.namespace, f"run-{index}")

        async def empty() -> bool:
            return not await chaos_lab.client.list(CHAOS_EXPERIMENT, chaos_lab.namespace)

        await until(empty, "all are gone", 120)
        await until(lambda: _none(chaos_lab), "no lease is left")


async def test_a_paused_api_server_ends_the_fault(own_chaos_lab: ChaosLab) -> None:
    lab = own_chaos_lab
    async with lab.controller():
        await lab.create(duration="1h")
        await until(lab.faulted, "vouched for")
        server = lab.server
        assert server is not None
        server.pause()
        await asyncio.sleep(7)
        server.resume()
        ended = await lab.phase("Error")
        assert "controller lost: the API server took no renewal" in ended["reason"]
        assert not await lab.faulted()
