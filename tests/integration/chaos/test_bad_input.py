"""What goes wrong around an experiment, on a real API server with a real controller, Prometheus and Fortio.

Each ends in a condition or a verdict that names it, and with nothing vouched for. The proxies' counters are served by
the test: whatever the controller asks of the mesh was done at once.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.build import build
from rollout.api.kinds import CHAOS_REPORT
from rollout.kube.errors import Invalid
from rollout.kube.objects import Object
from tests.integration.chaos.support import ChaosLab
from tests.integration.prometheus import prometheus
from tests.unit.http.server import Answered, reply, server
from tests.waiting import until


def page(namespace: str, scrapes: int) -> bytes:
    """Counters of a proxy before `checkout`: each scrape has seen 20 requests more, and 10 that were faulted."""
    labels = (
        f'reporter="destination",destination_service_name="checkout",'
        f'destination_service_namespace="{namespace}"'
    )
    lines = (
        f'istio_requests_total{{{labels},response_flags="-"}} {20 * scrapes}',
        f'istio_requests_total{{{labels},response_flags="FI"}} {10 * scrapes}',
    )
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.fixture
def shop(chaos_lab: ChaosLab) -> Iterator[ChaosLab]:
    """A service whose proxies carry out every fault, as far as Prometheus can tell."""
    scrapes = count(1)

    def scraped(_: object) -> Answered:
        content = {"Content-Type": "text/plain; version=0.0.4"}
        return Answered(200, page(chaos_lab.namespace, next(scrapes)), content)

    with (
        server(scraped) as proxies,
        prometheus(proxies.address.removeprefix("http://")) as metrics_server,
    ):
        chaos_lab.options = replace(chaos_lab.options, metrics_server=metrics_server)
        yield chaos_lab


async def held(lab: ChaosLab, reason: str) -> str:
    """Waits until the experiment is not selected for this reason; the message."""

    async def said() -> str:
        for each in (await lab.status()).get("conditions") or ():
            if (each["type"], each["status"], each["reason"]) == ("Selected", "False", reason):
                return str(each["message"])
        return ""

    message: str = await until(said, reason)
    return message


async def ends(lab: ChaosLab) -> Object:
    """Waits for the end of the run, and sees that nothing is left of the fault; the status."""
    status = await lab.phase("Completed", "Aborted", "Error", seconds=90)
    assert not await lab.faulted()
    found = {each["type"]: each["status"] for each in status["conditions"]}
    assert found["AllRecovered"] == "True"
    return status


@pytest.fixture
def app() -> Iterator[str]:
    """Something to send load to."""
    with server(lambda _: reply(b"well")) as served:
        yield served.address


def install_fortio(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = "") -> None:
    """A `fortio` on the PATH: the real one, or a script in its place."""
    program = folder / "fortio"
    if script:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(stat.S_IRWXU)
    else:
        program.symlink_to(build("fortio"))
    monkeypatch.setenv("PATH", f"{folder}:{sys.exec_prefix}/bin:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"duration": None}, "spec.duration"),
        ({"fault": {"abort": {"httpStatus": 503, "grpcStatus": "UNAVAILABLE"}}}, "exactly one of"),
        ({"load": {"fortio": {"qps": 100000}}}, "qps"),
    ],
    ids=["no duration", "two statuses", "too much load"],
)
async def test_what_cannot_be_is_refused_when_it_is_written(
    shop: ChaosLab, spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await shop.create(**spec)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"duration": "25h"}, "spec.duration: 25h is not between 1s and 24h"),
        (
            {"fault": {"abort": {"httpStatus": 503, "percentage": {"value": 200}}}},
            "spec.fault.abort.percentage.value",
        ),
        ({"blastRadius": {"maxTrafficPercent": 10}}, "hits up to 50 % of the requests"),
    ],
    ids=["a day and an hour", "200 %", "more than the blast radius"],
)
async def test_what_slipped_in_without_the_webhook_is_not_run(
    shop: ChaosLab, spec: dict[str, Any], said: str
) -> None:
    async with shop.controller():
        await shop.create(**spec)
        assert said in await held(shop, "Invalid")
        assert not await shop.leases()


async def test_a_fortio_that_dies_ends_the_run_in_its_words(
    shop: ChaosLab, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fortio(tmp_path, monkeypatch, "sleep 0.5; echo 'out of memory' >&2; exit 2")
    async with shop.controller():
        await shop.create(duration="60s", load={"fortio": {"url": app}})
        status = await ends(shop)
    assert (status["phase"], status["verdict"]) == ("Error", "Error")
    assert "the load failed" in status["reason"]
    assert "out of memory" in status["reason"]


async def test_a_prometheus_that_is_gone_ends_the_run_where_that_is_asked_for(
    shop: ChaosLab,
) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(prometheus())
        probe = {
            "name": "errors",
            "type": "prometheus",
            "query": "vector(0)",
            "address": address,
            "comparator": {"criteria": "<=", "value": 0.01},
            "runProperties": {"interval": "1s", "probeTimeout": "1s"},
        }
        async with shop.controller():
            await shop.create(
                duration="60s",
                steadyState={"probes": [probe]},
                abortPolicy={"onNoData": "abort"},
            )
            await shop.phase("Running")
            stack.close()
            status = await ends(shop)
    assert (status["phase"], status["verdict"]) == ("Error", "Error")
    assert "no answer from errors" in status["reason"]


async def test_a_run_with_a_real_load_comes_to_its_end(
    shop: ChaosLab, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fortio(tmp_path, monkeypatch)
    probe = {
        "name": "errors",
        "type": "fortio",
        "mode": "EOT",
        "field": "errorRatio",
        "comparator": {"criteria": "<=", "value": 0.01},
    }
    async with shop.controller():
        await shop.create(
            duration="3s",
            load={"fortio": {"url": app, "qps": 20}},
            steadyState={"probes": [probe]},
        )
        status = await ends(shop)
    assert status["verdict"] == "Pass", status
    report = await shop.client.get(CHAOS_REPORT, shop.namespace, status["report"])
    assert report["spec"]["load"]["RetCodes"].keys() == {"200"}
    assert report["spec"]["blast"]["requestsFaulted"] > 0
