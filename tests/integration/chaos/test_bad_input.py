"""What goes wrong around an experiment, on a real API server with a real controller, Prometheus and Fortio.

Each ends in a condition or a verdict that names it, and with nothing vouched for. The proxies' counters are served by
the test: whatever the controller asks of the mesh was done at once.
"""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.build import build
from rollout.api.chaos import ACTIVE_ANNOTATION, ENABLED_LABEL, LEASE_LABEL
from rollout.api.kinds import CHAOS_EXPERIMENT, CHAOS_REPORT, LEASE, NAMESPACE, SERVICE
from rollout.chaos.controller import Options, chaos
from rollout.delivery.controller import run
from rollout.kube.client import Client
from rollout.kube.errors import Invalid
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.delivery.support import options as controller_options
from tests.integration.prometheus import prometheus
from tests.unit.http.server import Answered, Server, reply, server
from tests.waiting import until


def page(namespace: str, scrapes: int) -> str:
    labels = (
        f'reporter="destination",destination_service_name="catalog",'
        f'destination_service_namespace="{namespace}"'
    )
    return (
        f'istio_requests_total{{{labels},response_flags="-"}} {20 * scrapes}\n'
        f'istio_requests_total{{{labels},response_flags="FI"}} {10 * scrapes}\n'
    )


@dataclass(slots=True, kw_only=True)
class Shop:
    """A namespace that opted in, with a Service and a controller, whose own namespace is another."""

    client: Client
    namespace: str
    system: str
    kubeconfig: Path

    async def create(self, name: str = "broken", **spec: Any) -> None:
        wanted = {
            "target": {"service": "catalog"},
            "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 30}}},
            "duration": "3s",
            **spec,
        }
        await self.client.create(
            CHAOS_EXPERIMENT,
            {
                "apiVersion": CHAOS_EXPERIMENT.api_version,
                "kind": CHAOS_EXPERIMENT.kind,
                "metadata": {"namespace": self.namespace, "name": name},
                "spec": {key: value for key, value in wanted.items() if value is not None},
            },
        )

    async def status(self, name: str = "broken") -> Object:
        found = await self.client.get(CHAOS_EXPERIMENT, self.namespace, name)
        status: Object = found.get("status") or {}
        return status

    async def held(self, reason: str, name: str = "broken") -> str:
        """Waits until the experiment is not selected for this reason; the message."""

        async def said() -> str:
            for each in (await self.status(name)).get("conditions") or ():
                if (each["type"], each["status"], each["reason"]) == ("Selected", "False", reason):
                    return str(each["message"])
            return ""

        message: str = await until(said, reason)
        return message

    async def ends(self, name: str = "broken") -> Object:
        """Waits for the verdict, and sees that nothing is left of the fault; the status."""

        async def over() -> Object | None:
            status = await self.status(name)
            return status if status.get("verdict") not in {None, "Awaited"} else None

        status: Object = await until(over, "a verdict", 90)
        await until(self.unvouched, "nothing to be vouched for")
        found = {each["type"]: each["status"] for each in status["conditions"]}
        assert found["AllRecovered"] == "True"
        reports = await self.client.list(CHAOS_REPORT, self.namespace)
        assert status["report"] in {each["metadata"]["name"] for each in reports}
        return status

    async def unvouched(self) -> bool:
        leases = await self.client.list(LEASE, self.system, f"{LEASE_LABEL}=true")
        named = (
            json.loads((each["metadata"].get("annotations") or {}).get(ACTIVE_ANNOTATION, "[]"))
            for each in leases
        )
        return not any(named)

    @asynccontextmanager
    async def controller(self, metrics_server: str) -> AsyncIterator[None]:
        mine = controller_options(self.kubeconfig, self.namespace, metrics_server)
        options = Options(
            identity="tested", system_namespace=self.system, metrics_server=metrics_server
        )
        task = asyncio.ensure_future(run(mine, asyncio.Event(), [chaos(options)]))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            # A connection that was being made is closed in the loop's next turns.
            await asyncio.sleep(0.1)


@pytest.fixture
async def shop(client: Client, namespace: str, apiserver: ApiServer) -> Shop:
    await install_crds(client)
    system = f"{namespace}-system"
    await client.create(NAMESPACE, {"metadata": {"name": system}})
    await client.patch(
        NAMESPACE, None, namespace, {"metadata": {"labels": {ENABLED_LABEL: "true"}}}
    )
    service = {
        "metadata": {"namespace": namespace, "name": "catalog"},
        "spec": {"selector": {"app": "catalog"}, "ports": [{"port": 80}]},
    }
    await client.create(SERVICE, service)
    return Shop(client=client, namespace=namespace, system=system, kubeconfig=apiserver.kubeconfig)


@pytest.fixture
def proxies(namespace: str) -> Iterator[Server]:
    """Where Prometheus scrapes the proxies' counters."""

    def scraped(_: object) -> Answered:
        served.seen[:-1] = []
        scrapes.append(None)
        return Answered(
            200,
            page(namespace, len(scrapes)).encode(),
            {"Content-Type": "text/plain; version=0.0.4"},
        )

    scrapes: list[None] = []
    with server(scraped) as served:
        yield served


@pytest.fixture
def metrics(proxies: Server) -> Iterator[str]:
    with prometheus(proxies.address.removeprefix("http://")) as address:
        yield address


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
    shop: Shop, spec: dict[str, Any], said: str
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
        ({"blastRadius": {"maxTrafficPercent": 10}}, "hits up to 30 % of the requests"),
    ],
    ids=["a day and an hour", "200 %", "more than the blast radius"],
)
async def test_what_slipped_in_without_the_webhook_is_not_run(
    shop: Shop, metrics: str, spec: dict[str, Any], said: str
) -> None:
    async with shop.controller(metrics):
        await shop.create(**spec)
        assert said in await shop.held("Invalid")
        assert await shop.unvouched()


async def test_a_selector_that_matches_nothing_is_named_and_waited_for(
    shop: Shop, metrics: str
) -> None:
    async with shop.controller(metrics):
        await shop.create(target={"service": "basket"})
        assert "there is no Service" in await shop.held("ServiceNotFound")
        assert await shop.unvouched()
        service = {
            "metadata": {"namespace": shop.namespace, "name": "basket"},
            "spec": {"selector": {"app": "basket"}, "ports": [{"port": 80}]},
        }
        await shop.client.create(SERVICE, service)

        async def begun() -> bool:
            return bool((await shop.status()).get("runID"))

        await until(begun, "the run to begin")


async def test_two_on_one_service_take_turns(shop: Shop, metrics: str) -> None:
    async with shop.controller(metrics):
        await shop.create("first", duration="4s")

        async def begun() -> bool:
            return bool((await shop.status("first")).get("injectedAt"))

        await until(begun, "the first to begin")
        await shop.create("second", blastRadius={"maxConcurrent": 5})
        assert "first" in await shop.held("ServiceBusy", "second")
        assert (await shop.ends("first"))["verdict"] == "Pass"
        assert (await shop.ends("second"))["verdict"] == "Pass"


async def test_a_fortio_that_dies_ends_the_run_in_its_words(
    shop: Shop, metrics: str, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fortio(tmp_path, monkeypatch, "sleep 0.5; echo 'out of memory' >&2; exit 2")
    async with shop.controller(metrics):
        await shop.create(duration="60s", load={"fortio": {"url": app}})
        status = await shop.ends()
    assert (status["phase"], status["verdict"]) == ("Error", "Error")
    assert "the load failed" in status["reason"]
    assert "out of memory" in status["reason"]


async def test_a_prometheus_that_is_gone_ends_the_run_where_that_is_asked_for(
    shop: Shop, metrics: str
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
        async with shop.controller(metrics):
            await shop.create(
                duration="60s",
                steadyState={"probes": [probe]},
                abortPolicy={"onNoData": "abort"},
            )

            async def running() -> bool:
                return (await shop.status()).get("phase") == "Running"

            await until(running, "it to run")
            stack.close()
            status = await shop.ends()
    assert (status["phase"], status["verdict"]) == ("Error", "Error")
    assert "no answer from errors" in status["reason"]


async def test_a_run_with_a_real_load_comes_to_its_end(
    shop: Shop, metrics: str, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fortio(tmp_path, monkeypatch)
    probe = {
        "name": "errors",
        "type": "fortio",
        "mode": "EOT",
        "field": "errorRatio",
        "comparator": {"criteria": "<=", "value": 0.01},
    }
    async with shop.controller(metrics):
        await shop.create(load={"fortio": {"url": app, "qps": 20}}, steadyState={"probes": [probe]})
        status = await shop.ends()
    assert status["verdict"] == "Pass", status
    report = await shop.client.get(CHAOS_REPORT, shop.namespace, status["report"])
    assert report["spec"]["load"]["RetCodes"].keys() == {"200"}
    assert report["spec"]["blast"]["requestsFaulted"] > 0
