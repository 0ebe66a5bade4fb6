"""Providers against the real servers: Prometheus, InfluxDB and Graphite, and a cluster with the two APIs that are asked there."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from rollout.api.kinds import Kind
from rollout.http.client import HttpClient, Request
from rollout.judge.checks import Answer, NoData, QueryFailed, Value
from rollout.kube.client import Client, Patch
from rollout.kube.errors import KubeError
from rollout.kube.objects import Object
from tests.integration.metricstores import graphite, influxdb
from tests.integration.prometheus import prometheus
from tests.unit.http.server import Answered, server
from tests.unit.judge.providers.support import answer, source

SECONDS = 15.0


async def test_prometheus() -> None:
    page = Answered(200, b"queue_length 7\n", {"Content-Type": "text/plain; version=0.0.4"})
    with (
        server(lambda _: page) as target,
        prometheus(target.address.removeprefix("http://")) as address,
    ):
        origin = source("prometheus", address=address)
        assert await _eventually(origin, "queue_length") == Value(7.0)
        assert await answer(origin, "vector(1) == 2") == NoData("the result is empty")
        bad = await answer(origin, "sum(")
        assert isinstance(bad, QueryFailed)
        assert not bad.retriable
        assert "parse error" in bad.reason


async def test_influxdb() -> None:
    with influxdb() as address:
        async with HttpClient() as http:
            for path, params, body in (
                ("query", (("q", "CREATE DATABASE shop"),), b""),
                ("write", (("db", "shop"),), b"latency,app=podinfo value=1.5\n"),
            ):
                url = f"{address}/{path}"
                got = await http.send(Request(method="POST", url=url, params=params, body=body))
                assert got.status < 300, got.text
        origin = source("influxdb", address=address, secret="creds")
        secret = {"database": "shop"}
        query = "SELECT mean(value) FROM latency WHERE time > now() - 1m"
        assert await answer(origin, query, secret) == Value(1.5)
        nothing = await answer(origin, query.replace("latency", "absent"), secret)
        assert nothing == NoData("no series has a point")
        bad = await answer(origin, "SELECT mean(", secret)
        assert isinstance(bad, QueryFailed)
        assert not bad.retriable


async def test_graphite() -> None:
    with graphite() as (address, lines):
        with socket.create_connection(("127.0.0.1", lines), timeout=5) as carbon:
            now = int(datetime.now(UTC).timestamp())
            carbon.sendall(f"shop.errors 3 {now - 1}\nshop.total 12 {now - 1}\n".encode())
        origin = source("graphite", address=address)
        query = "target=asPercent(shop.errors, shop.total)&from=-1min"
        assert await _eventually(origin, query) == Value(25.0)
        assert isinstance(await answer(origin, "target=absent&from=-1min"), NoData)
        assert isinstance(
            await answer(origin, "target=movingAverage(shop.errors)&from=-1min"), QueryFailed
        )


async def _eventually(origin: object, query: str) -> Answer:
    deadline = time.monotonic() + SECONDS
    got: Answer = NoData("not asked yet")
    while time.monotonic() < deadline and not isinstance(got, Value):
        await asyncio.sleep(0.2)
        got = await answer(origin, query)  # type: ignore[arg-type]
    return got


METRIC = Kind("metrics.keptn.sh", "v1beta1", "KeptnMetric", "keptnmetrics")
ANALYSIS = Kind("metrics.keptn.sh", "v1beta1", "Analysis", "analyses")
_DEFINITION = Kind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)


@pytest.fixture
async def keptn(client: Client) -> AsyncIterator[Client]:
    """Keptn's two kinds, served by the real API server."""
    for kind in (METRIC, ANALYSIS):
        await client.create(_DEFINITION, _definition(kind))
    deadline = time.monotonic() + SECONDS
    for kind in (METRIC, ANALYSIS):
        while time.monotonic() < deadline:
            try:
                await client.list(kind)
                break
            except KubeError:
                await asyncio.sleep(0.1)
    yield client
    for kind in (METRIC, ANALYSIS):
        await client.delete(_DEFINITION, None, f"{kind.plural}.{kind.group}")


def _definition(kind: Kind) -> dict[str, object]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": _DEFINITION.api_version,
        "kind": _DEFINITION.kind,
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower()},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


async def test_keptn(keptn: Client, namespace: str) -> None:
    origin = source("keptn")
    metric = {
        "apiVersion": METRIC.api_version,
        "kind": METRIC.kind,
        "metadata": {"name": "m", "namespace": namespace},
    }
    await keptn.create(METRIC, metric)
    query = f"keptnmetric/{namespace}/m"
    assert await answer(origin, query, kube=keptn) == NoData("the KeptnMetric has no value yet")
    await _set_status(keptn, METRIC, namespace, "m", {"value": "0.5"})
    assert await answer(origin, query, kube=keptn) == Value(0.5)

    judged = asyncio.ensure_future(
        answer(origin, f"analysis/{namespace}/ready/5m/app=podinfo;bad", kube=keptn)
    )
    made = await _first_analysis(keptn, namespace)
    assert made["spec"] == {
        "analysisDefinition": {"name": "ready"},
        "timeframe": {"recent": "5m"},
        "args": {"app": "podinfo"},
    }
    name = made["metadata"]["name"]
    await _set_status(keptn, ANALYSIS, namespace, name, {"state": "Completed", "pass": True})
    assert await judged == Value(1.0)
    assert await keptn.list(ANALYSIS, namespace) == []
    missing = await answer(origin, f"keptnmetric/{namespace}/absent", kube=keptn)
    assert isinstance(missing, QueryFailed)
    assert not missing.retriable


async def _first_analysis(client: Client, namespace: str) -> Object:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if found := await client.list(ANALYSIS, namespace):
            return found[0]
        await asyncio.sleep(0.05)
    raise TimeoutError


async def _set_status(
    client: Client, kind: Kind, namespace: str, name: str, status: dict[str, object]
) -> None:
    body = {"status": status}
    await client.patch(kind, namespace, name, body, subresource="status", content_type=Patch.MERGE)


async def test_a_cluster_without_external_metrics(client: Client) -> None:
    got = await answer(source("externalmetrics"), "default/queue", kube=client)
    assert isinstance(got, QueryFailed)
    assert "404" in got.reason
