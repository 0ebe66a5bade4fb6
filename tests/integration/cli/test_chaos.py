"""The commands about experiments as processes, against a real API server whose controller is the test."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollout.api.chaos import HALT_ANNOTATION
from rollout.api.kinds import CHAOS_EXPERIMENT, CHAOS_REPORT, NAMESPACE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.unit.chaos.reports import raw
from tests.waiting import until

EXPERIMENT = """
apiVersion: chaos.rollout.dev/v1alpha1
kind: ChaosExperiment
metadata:
  name: slow
spec:
  hypothesis: The shop does not notice.
  target: {service: payments}
  fault: {delay: {fixedDelay: 300ms}}
  duration: 10s
"""


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(slots=True)
class Shop:
    """A namespace, `rollout chaos` in it, and the controller's hand."""

    client: Client
    namespace: str
    kubeconfig: Path
    file: Path

    async def __call__(self, *arguments: str, everywhere: bool = False) -> Done:
        where = () if everywhere else ("-n", self.namespace)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rollout.cli.main", "chaos",
            *arguments, "--kubeconfig", str(self.kubeconfig), *where,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def written(self, old_run: str = "") -> Object:
        """The experiment, once the command has asked for a run."""

        async def asked() -> Object | None:
            for each in await self.client.list(CHAOS_EXPERIMENT, self.namespace):
                if each["metadata"]["annotations"]["chaos.rollout.dev/run"] != old_run:
                    return each
            return None

        found: Object = await until(asked, "a run to be asked for")
        return found

    async def says(self, run_id: str, phase: str, verdict: str = "Awaited", **more: Any) -> None:
        status = {"phase": phase, "verdict": verdict, "runID": run_id, **more}
        await self.client.patch(
            CHAOS_EXPERIMENT, self.namespace, "slow", {"status": status}, subresource="status"
        )


@pytest.fixture
async def shop(client: Client, namespace: str, apiserver: ApiServer, tmp_path: Path) -> Shop:
    await install_crds(client)
    file = tmp_path / "slow.yaml"
    file.write_text(EXPERIMENT)
    return Shop(client, namespace, apiserver.kubeconfig, file)


async def test_a_run_is_followed_to_its_verdict_and_may_be_run_again(shop: Shop) -> None:
    following = asyncio.ensure_future(shop("run", str(shop.file), "--watch"))
    first = await shop.written()
    await shop.says("one", "Running")
    assert (await shop("status", "slow", "--timeout", "1")).code == 3
    busy = await shop("run", str(shop.file))
    assert (busy.code, "is running (Running); stop it first" in busy.err) == (1, True)
    await shop.says("one", "Completed", "Pass", reason="every probe passed")
    done = await following
    assert done.code == 0, done
    assert done.out.splitlines()[-1] == f"{shop.namespace}/slow: Pass: every probe passed"
    assert (await shop("status", "slow")).code == 0

    shop.file.write_text(EXPERIMENT.replace("10s", "20s"))
    again = asyncio.ensure_future(shop("run", str(shop.file), "-w"))
    second = await shop.written(first["metadata"]["annotations"]["chaos.rollout.dev/run"])
    assert second["spec"]["duration"] == "20s"
    await shop.says("two", "Aborted", "Fail", reason="errors is 0.2, and has to be <= 0.01")
    done = await again
    assert done.code == 1, done
    assert "Pass" not in done.out, "the run before is not this one's verdict"

    await shop.says("two", "Error", "Error", reason="controller lost")
    done = await shop("status", "slow")
    assert (done.code, done.out) == (4, f"{shop.namespace}/slow: Error: controller lost\n")


def held(reason: str, message: str) -> Object:
    """A status' conditions, as they say what keeps an experiment from beginning."""
    at = "2026-01-20T22:50:00Z"
    found = {"type": "Selected", "status": "False", "reason": reason, "message": message}
    return {**found, "lastTransitionTime": at, "lastUpdateTime": at}


async def test_what_waits_for_somebody_is_said_soon_and_what_waits_for_others_is_followed(
    shop: Shop,
) -> None:
    following = asyncio.ensure_future(shop("run", str(shop.file), "--watch", "--timeout", "600"))
    await shop.written()
    refusal = held("NotOptedIn", "the namespace has not opted in (label it)")
    await shop.says("", "Pending", conditions=[refusal], reason=refusal["message"])
    done = await asyncio.wait_for(following, 60)
    assert done.code == 5, done
    assert done.out.splitlines()[-1] == (
        f"{shop.namespace}/slow is held (NotOptedIn): the namespace has not opted in (label it)"
    )
    following = asyncio.ensure_future(shop("status", "slow", "--timeout", "600"))
    busy = held("ServiceBusy", "shop/other runs on payments")
    await shop.says("", "Pending", conditions=[busy], reason=busy["message"])
    await asyncio.sleep(7)
    assert not following.done(), "the other's run will be over"
    await shop.says("one", "Completed", "Pass", conditions=[], reason="every probe passed")
    assert (await following).code == 0


async def test_without_watch_it_begins_and_says_how_to_follow(shop: Shop) -> None:
    done = await shop("run", str(shop.file))
    assert (done.code, "`rollout chaos get slow" in done.out) == (0, True)
    assert "slow" in (await shop("list")).out
    shown = await shop("get", "slow")
    assert "The shop does not notice." in shown.out
    served = json.loads((await shop("get", "slow", "-o", "json")).out)
    assert served["kind"] == "ChaosExperiment"


async def test_stop_waits_until_it_is_over(shop: Shop) -> None:
    await shop("run", str(shop.file))
    await shop.says("one", "Running")
    late = await shop("stop", "slow", "--wait", "1")
    assert (late.code, "not over within 1 s" in late.err) == (1, True)
    stopping = asyncio.ensure_future(shop("stop", "slow"))
    await shop.says("one", "Aborted", "Stopped")
    done = await stopping
    assert (done.code, "is stopped" in done.out) == (0, True)
    served = await shop.client.get(CHAOS_EXPERIMENT, shop.namespace, "slow")
    assert served["spec"]["engineState"] == "stop"


async def forget_others(client: Client) -> None:
    """What other tests left running on this server, without a controller, would be waited for."""
    for each in await client.list(CHAOS_EXPERIMENT):
        where = each["metadata"]["namespace"], each["metadata"]["name"]
        await client.patch(CHAOS_EXPERIMENT, *where, {"metadata": {"finalizers": None}})
        await client.delete(CHAOS_EXPERIMENT, *where)


async def test_halt_stops_all_and_is_taken_back(shop: Shop) -> None:
    system = ("--system-namespace", shop.namespace)
    assert (await shop("halt", *system, everywhere=True)).code == 2, "only with --all"
    await forget_others(shop.client)
    done = await shop("halt", "--all", *system, everywhere=True)
    assert (done.code, "none begins" in done.out) == (0, True)
    found = await shop.client.get(NAMESPACE, None, shop.namespace)
    assert found["metadata"]["annotations"][HALT_ANNOTATION] == "true"
    assert (await shop("resume", *system, everywhere=True)).code == 0
    found = await shop.client.get(NAMESPACE, None, shop.namespace)
    assert HALT_ANNOTATION not in found["metadata"].get("annotations", {})
    gone = await shop("resume", "--system-namespace", "nowhere", everywhere=True)
    assert "there is no namespace 'nowhere'" in gone.err


async def test_the_last_report_is_shown_as_is_asked(shop: Shop, tmp_path: Path) -> None:
    missing = await shop("report", "slow-payments")
    assert (missing.code, "there is no report of" in missing.err) == (1, True)
    for name, start in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-01-20T22:50:00Z")):
        wanted = raw(start=start, runID=name)
        wanted["metadata"] |= {"namespace": shop.namespace, "name": f"slow-payments-{name}"}
        await shop.client.create(CHAOS_REPORT, wanted)
    assert "✖ Fail" in (await shop("report", "slow-payments")).out
    served = json.loads((await shop("report", "slow-payments", "-o", "json")).out)
    assert served["spec"]["runID"] == "new"
    assert "runID: old" in (await shop("report", "slow-payments-old", "-o", "yaml")).out
    page = tmp_path / "report.html"
    done = await shop("report", "slow-payments", "-o", "html", "-f", str(page))
    assert (done.code, page.read_text()[:15]) == (0, "<!doctype html>")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (EXPERIMENT.replace("  duration: 10s\n", ""), "spec.duration: is required"),
        (
            EXPERIMENT.replace("fixedDelay: 300ms", "fixedDelay: 300ms, percentage: {value: 200}"),
            "200",
        ),
        (EXPERIMENT + "---" + EXPERIMENT, "has 2 ChaosExperiments"),
        ("a: [", "is not YAML"),
        ("kind: Pod", "has 0 ChaosExperiments"),
    ],
    ids=["no duration", "200 %", "two", "no YAML", "something else"],
)
async def test_what_cannot_be_run_is_refused_before_the_cluster(
    shop: Shop, text: str, said: str
) -> None:
    shop.file.write_text(text)
    done = await shop("run", str(shop.file))
    assert (done.code, said in done.err) == (1, True), done
    assert await shop.client.list(CHAOS_EXPERIMENT, shop.namespace) == []
