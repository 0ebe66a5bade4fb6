"""Access logs, spans and connections' metrics of real Envoys: a gateway, and a sidecar behind it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from rollout.api.istio.meshconfig import MeshConfig
from rollout.api.kinds import ENDPOINT_SLICE, GATEWAY, SERVICE, TELEMETRY, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.ingest.telemetry import mesh_telemetry
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import collectors
from tests.integration.mesh import pod as pods
from tests.integration.mesh.collectors import Collector, Span
from tests.integration.mesh.support import (
    Backend,
    Envoy,
    backend,
    control_plane,
    create,
    endpoint_slice,
    envoy,
    free_port,
    own_address,
    serve_backend,
    service,
)
from tests.waiting import until

pytestmark = pods.requires
HOST = "shop.example.com"
TCP_PORT = 8081


@dataclass(slots=True)
class Scene:
    """A gateway that leads to a sidecar's application; `one` is what that calls."""

    client: Client
    namespace: str
    plane: ControlPlane
    gateway: Envoy
    pod: pods.Pod
    url: str
    one: Backend

    async def tell(self, **spec: Any) -> None:
        """The namespace's Telemetry says just this."""
        obj = {"metadata": {"name": "told"}, "spec": spec}
        await create(self.client, TELEMETRY, self.namespace, obj)

    async def through_the_gateway(self, path: str = "/", **headers: str) -> Object:
        """What the application answers: it says which headers it got."""
        asked = {"Host": HOST, **headers}
        async with (
            ClientSession() as session,
            session.get(self.url + path, headers=asked) as response,
        ):
            body = await response.read()
            found: Object = json.loads(body) if response.status == 200 else {}
            return found

    async def calls(self, host: str, *arguments: str, port: int = 80) -> tuple[int, str]:
        """The application calls a service by its own address."""
        spec = (await self.client.get(SERVICE, self.namespace, host))["spec"]
        url = f"http://{spec['clusterIPs'][0]}:{port}/"
        return await self.pod.curl("-H", f"Host: {host}", *arguments, url)

    def gateway_lines(self) -> list[str]:
        return self.gateway.log.read_text().splitlines()

    def sidecar_lines(self) -> list[str]:
        return (self.pod.directory / "pod.log").read_text().splitlines()

    async def series(self, name: str, reporter: str, **wanted: str) -> dict[str, str]:
        """Waits for a series of the sidecar with these labels; its labels, and its value as `value`."""
        kind = f"envoy_mesh_{name}"

        async def found() -> dict[str, str] | None:
            _, page = await self.pod.curl(f"http://127.0.0.1:15000/stats/prometheus?filter={name}")
            for line in page.splitlines():
                if line.startswith((f"{kind}{{", f"{kind}_sum{{")):
                    labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                    labels["value"] = line.rpartition(" ")[2]
                    if labels["reporter"] == reporter and wanted.items() <= labels.items():
                        return labels
            return None

        series: dict[str, str] = await until(found, f"{name} of {reporter} with {wanted}")
        return series


@asynccontextmanager
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, directory: Path, **config: Any
) -> AsyncIterator[Scene]:
    await install_crds(client)
    told = mesh_telemetry(MeshConfig.read(json.dumps(config)))
    port = free_port()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("one"))
        await serve_backend(client, namespace, one)
        plane = await stack.enter_async_context(
            control_plane(apiserver.kubeconfig, host="0.0.0.0", telemetry=told)
        )
        labels = {"app": "app", "version": "v7"}
        pod = await stack.enter_async_context(
            pods.pod(
                directory,
                plane.port,
                namespace=namespace,
                name="app-main",
                labels=labels,
                drain_seconds=1,
            )
        )
        await _expose(client, namespace, pod, port)
        gateway = await stack.enter_async_context(envoy(directory, plane.port, namespace=namespace))
        found = Scene(client, namespace, plane, gateway, pod, f"http://127.0.0.1:{port}", one)
        await until(partial(_answers, found), "the gateway leads to the application")
        yield found


async def _expose(client: Client, namespace: str, pod: pods.Pod, port: int) -> None:
    app = service("app", 80, 8080, app="app")
    app["spec"]["ports"].append({"name": "tcp-raw", "port": 81, "targetPort": TCP_PORT})
    await create(client, SERVICE, namespace, app)
    piece = endpoint_slice("app", 8080)
    piece["endpoints"][0]["addresses"] = [pod.address]
    await create(client, ENDPOINT_SLICE, namespace, piece)
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
    spec: Object = {"selector": {"istio": f"gateway-{namespace}"}, "servers": [server]}
    await create(client, GATEWAY, namespace, {"metadata": {"name": "shop"}, "spec": spec})
    route = [{"destination": {"host": "app", "port": {"number": 80}}}]
    spec = {"hosts": [HOST], "gateways": ["shop"], "http": [{"route": route}]}
    await create(client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "shop"}, "spec": spec})


async def _answers(scene: Scene) -> bool:
    return await _no_error(scene.through_the_gateway)


async def _collected_at(client: Client, namespace: str, port: int, name: str) -> None:
    """The Service `collector` leads to a port of this machine; its port's name says what is spoken."""
    ports = [{"name": name, "port": 9411, "targetPort": port}]
    head = {"metadata": {"name": "collector"}}
    await create(client, SERVICE, namespace, head | {"spec": {"ports": ports}})
    piece = endpoint_slice("collector", port)
    piece["ports"][0]["name"] = name
    await create(client, ENDPOINT_SLICE, namespace, piece)


async def test_access_logs_in_istios_json_come_and_go_with_the_telemetry(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    config = {"accessLogFile": "", "accessLogEncoding": "JSON"}
    async with scene(apiserver, client, namespace, tmp_path, **config) as found:
        assert not [line for line in found.gateway_lines() if line.startswith("{")]
        errors = {"expression": "response.code >= 500"}
        await found.tell(accessLogging=[{"providers": [{"name": "envoy"}], "filter": errors}])

        async def logged() -> list[dict[str, Any]]:
            await found.through_the_gateway("/fine", **{"User-Agent": "tester"})
            await found.through_the_gateway("/fail", **{"User-Agent": "tester"})
            lines = [*found.gateway_lines(), *found.sidecar_lines()]
            parsed = [json.loads(line) for line in lines if line.startswith("{")]
            sides = {line["upstream_cluster"].split("|")[0] for line in parsed}
            return parsed if sides == {"outbound", "inbound"} else []

        for line in await until(logged, "both proxies log"):
            assert line["path"] == "/fail"
            assert line["response_code"] == 500
            assert (line["method"], line["user_agent"]) == ("GET", "tester")
            assert line["authority"] == HOST
            assert line["response_flags"] == "-"
            assert line["request_id"]
        await found.client.delete(TELEMETRY, namespace, "told")

        async def silent() -> bool:
            before = len(found.gateway_lines())
            await found.through_the_gateway("/fail")
            await asyncio.sleep(0.1)
            return len(found.gateway_lines()) == before

        await until(silent, "the gateway logs no more")


async def test_access_logs_in_istios_text_of_requests_and_connections(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    async with scene(apiserver, client, namespace, tmp_path, accessLogFile="/dev/stdout") as found:
        await found.through_the_gateway("/text")
        host = f"app.{namespace}.svc.cluster.local"

        def logged() -> str:
            return next((line for line in found.gateway_lines() if '"GET /text' in line), "")

        line = await until(logged, "the gateway logs a line")
        assert re.match(r'\[\S+Z\] "GET /text HTTP/1\.1" 200 - via_upstream - "-" 0 \d+ ', line), (
            line
        )
        assert f"outbound|80||{host}" in line
        status, _ = await found.pod.curl(f"http://{own_address()}:{found.one.port}/unknown-place")
        assert status == 200

        def passed() -> bool:
            return any("PassthroughCluster" in line for line in found.sidecar_lines())

        await until(passed, "a connection to an unknown address is logged")
        about = {"destination_service_name": "PassthroughCluster"}
        await found.series("istio_tcp_connections_opened_total", "source", **about)


@pytest.mark.parametrize("kind", ["otlp", "zipkin"])
async def test_spans_of_a_request_hang_together(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path, kind: str
) -> None:
    at = {"service": f"collector.{namespace}.svc.cluster.local", "port": 9411}
    both = {"traceContextOption": "USE_B3_WITH_W3C_PROPAGATION"}
    provider = {"opentelemetry": at} if kind == "otlp" else {"zipkin": at | both}
    config = {
        "extensionProviders": [{"name": "spans", **provider}],
        "defaultProviders": {"tracing": ["spans"]},
    }
    make = {"otlp": collectors.otlp, "zipkin": collectors.zipkin}[kind]
    async with (
        make() as collector,
        scene(apiserver, client, namespace, tmp_path, **config) as found,
    ):
        name = {"otlp": "grpc-otlp", "zipkin": "http"}[kind]
        await _collected_at(client, namespace, collector.port, name)
        tags = {"stage": {"literal": {"value": "test"}}, "user": {"header": {"name": "x-user"}}}
        await found.tell(tracing=[{"randomSamplingPercentage": 100, "customTags": tags}])
        trace = await until(partial(_traced, found, collector), "a request is traced")
        spans = {span.service + " " + span.kind: span for span in collector.of(trace)}
        edge = spans[f"istio-ingressgateway.{namespace} CLIENT"]
        inbound, outbound = spans[f"app.{namespace} SERVER"], spans[f"app.{namespace} CLIENT"]
        assert (edge.parent, inbound.parent, outbound.parent) == ("", edge.id, inbound.id)
        assert {edge.name, inbound.name} == {f"app.{namespace}.svc.cluster.local:80/*"}
        assert outbound.name == f"one.{namespace}.svc.cluster.local:80/*"
        for span in (edge, inbound, outbound):
            _is_tagged_as_istios(span, namespace)
        assert inbound.tags["user"] == "ann"
        assert inbound.tags["istio.canonical_service"] == "app"
        assert inbound.tags["istio.canonical_revision"] == "v7"


async def _traced(found: Scene, collector: Collector) -> str:
    """The trace of a request that the application goes on with, once all of its spans are there, tagged; else nothing."""
    got = await found.through_the_gateway("/", **{"x-user": "ann"})
    headers = {name.lower(): value for name, value in got.get("headers", {}).items()}
    if "traceparent" not in headers:
        return ""
    trace: str
    _, trace, _, sampled = headers["traceparent"].split("-")
    if sampled != "01":
        return ""
    passed = [h for h in ("traceparent", "tracestate", "x-request-id") if h in headers]
    passed += [name for name in headers if name.startswith("x-b3-")]
    arguments = [part for name in passed for part in ("-H", f"{name}: {headers[name]}")]
    await found.calls("one", *arguments)
    try:
        await until(lambda: len(collector.of(trace)) == 3, seconds=8)
    except AssertionError:
        return ""
    # The first proxy that knows what is to be told decides for the others that spans are made.
    return trace if all("stage" in span.tags for span in collector.of(trace)) else ""


def _is_tagged_as_istios(span: Span, namespace: str) -> None:
    expected = {
        "component": "proxy",
        "stage": "test",
        "istio.namespace": namespace,
        "istio.mesh_id": "cluster.local",
        "http.method": "GET",
        "http.status_code": "200",
        "response_flags": "-",
    }
    assert expected.items() <= span.tags.items(), span
    assert span.tags["node_id"].endswith(f"~{namespace}.svc.cluster.local"), span


async def test_one_request_in_a_hundred_is_traced_where_nothing_is_said(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    at = {"service": f"collector.{namespace}.svc.cluster.local", "port": 9411}
    config = {
        "extensionProviders": [{"name": "spans", "zipkin": at}],
        "defaultProviders": {"tracing": ["spans"]},
    }
    async with (
        collectors.zipkin() as collector,
        scene(apiserver, client, namespace, tmp_path, **config) as found,
    ):
        await _collected_at(client, namespace, collector.port, "http")

        async def begun() -> bool:
            got = await found.through_the_gateway()
            return "X-B3-Sampled" in {name.title() for name in got.get("headers", {})}

        await until(begun, "the gateway says in B3's headers whether a request is traced")
        sampled = 0
        for _ in range(1000):
            headers = (await found.through_the_gateway())["headers"]
            given = {name.lower(): value for name, value in headers.items()}
            sampled += given["x-b3-sampled"] == "1"
        # Of 1,000 requests at 1 %: 10 on average, 27 or more in one of 100,000 runs, none in one of 23,000.
        assert 1 <= sampled <= 27


async def test_connections_and_their_bytes_are_counted_on_both_sides(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    async with scene(apiserver, client, namespace, tmp_path) as found:
        ports = [{"name": "tcp-one", "port": 5000, "targetPort": found.one.port}]
        head: Object = {"metadata": {"name": "raw"}, "spec": {"ports": ports}}
        await create(client, SERVICE, namespace, head)
        piece = endpoint_slice("raw", found.one.port)
        piece["ports"][0]["name"] = "tcp-one"
        await create(client, ENDPOINT_SLICE, namespace, piece)

        async def through() -> bool:
            return (await found.calls("raw", port=5000))[0] == 200

        await until(through, "the application reaches the service")
        about = {"destination_service_name": "raw", "request_protocol": "tcp"}
        opened = await found.series("istio_tcp_connections_opened_total", "source", **about)
        assert opened["destination_service"] == f"raw.{namespace}.svc.cluster.local"
        assert opened["source_workload"] == "app-main"
        assert opened["response_flags"] == "-"
        closed = await found.series("istio_tcp_connections_closed_total", "source", **about)
        assert int(closed["value"]) >= 1
        for name in ("istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"):
            assert int((await found.series(name, "source", **about))["value"]) > 20, name

        raw = pods.running(found.pod, sys.executable, "-c", pods.APPLICATION, str(TCP_PORT))
        async with raw, ClientSession() as session:

            async def answered() -> bool:
                url = f"http://{found.pod.address}:{TCP_PORT}/"
                headers = {"Connection": "close"}
                async with session.get(url, headers=headers) as response:
                    return response.status == 200

            await until(partial(_no_error, answered), "the raw port answers")
        inwards = await found.series("istio_tcp_received_bytes_total", "destination")
        assert inwards["destination_workload"] == "app-main"
        assert inwards["source_workload"] == "unknown"
        assert inwards["connection_security_policy"] == "none"
        assert int(inwards["value"]) > 20
        sizes = {"destination_service_name": "app", "response_code": "200"}
        for name in ("istio_request_bytes", "istio_response_bytes"):

            async def summed(name: str = name) -> bool:
                series = await found.series(name, "destination", **sizes)
                return float(series["value"]) > 50

            await until(summed, f"{name} has sizes")


async def _no_error(check: Any) -> bool:
    try:
        return bool(await check())
    except (OSError, ClientError):
        return False


async def test_labels_are_set_and_taken_away_and_metrics_left_out(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    async with scene(apiserver, client, namespace, tmp_path) as found:
        labels = {
            "host": {"value": "request.host"},
            "kind": {"value": "request.url_path.startsWith('/a') ? 'a' : 'other'"},
            "tier": {"value": "'gold'"},
            "source_principal": {"operation": "REMOVE"},
        }
        count = {"match": {"metric": "REQUEST_COUNT", "mode": "SERVER"}, "tagOverrides": labels}
        sizes = {"match": {"metric": "REQUEST_SIZE"}, "disabled": True}
        await found.tell(metrics=[{"overrides": [count, sizes]}])

        async def counted() -> bool:
            await found.through_the_gateway("/abc")
            _, page = await found.pod.curl("http://127.0.0.1:15000/stats/prometheus?filter=istio_")
            return 'kind="a"' in page

        await until(counted, "the label is there")
        wanted = {"kind": "a", "tier": "gold", "host": HOST}
        series = await found.series("istio_requests_total", "destination", **wanted)
        assert "source_principal" not in series
        _, page = await found.pod.curl("http://127.0.0.1:15000/stats/prometheus?filter=istio_")
        durations = [line for line in page.splitlines() if "duration_milliseconds_sum" in line]
        assert durations
        assert not [line for line in durations if "tier=" in line]
