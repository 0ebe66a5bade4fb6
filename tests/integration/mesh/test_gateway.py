"""A gateway's Envoy, driven by the control plane on a real API server, under load."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from rollout.api.kinds import (
    ENDPOINT_SLICE,
    SERVICE,
    VIRTUAL_SERVICE,
)
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import (
    Destination,
    Route,
    WeightedDestination,
)
from rollout.mesh.model.service import Endpoint, Port, Protocol, Service
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import (
    Backend,
    Envoy,
    Load,
    ask,
    backend,
    control_plane,
    create,
    endpoint_slice,
    envoy,
    free_port,
    open_gateway,
    serve_backend,
    service,
    spoil,
    steady,
)
from tests.waiting import until

HOST = "shop.example.com"


@dataclass(slots=True)
class Scene:
    """Two backends behind a gateway."""

    client: Client
    namespace: str
    plane: ControlPlane
    proxy: Envoy
    url: str
    one: Backend
    two: Backend

    async def route(self, spec: Object) -> None:
        await self.client.patch(VIRTUAL_SERVICE, self.namespace, "shop", {"spec": spec})

    async def shift(self, one: int, two: int, **more: Any) -> None:
        await self.route({"http": [{"route": shares(one, two), **more}]})

    async def asked(self, times: int = 1, path: str = "", **headers: str) -> Load:
        async with ClientSession() as session:
            return await ask(session, self.url + path, Load(), {"Host": HOST, **headers}, times)


def shares(one: int, two: int) -> list[Object]:
    return [
        {"destination": {"host": "one"}, "weight": one},
        {"destination": {"host": "two"}, "weight": two},
    ]


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("one"))
        two = await stack.enter_async_context(backend("two"))
        port = free_port()
        gateway = f"gateway-{namespace}"
        await create(client, SERVICE, namespace, service("ingress", 80, port, istio=gateway))
        for app in (one, two):
            await serve_backend(client, namespace, app)
        await open_gateway(client, namespace)
        routes = {"hosts": [HOST], "gateways": ["edge"], "http": [{"route": shares(100, 0)}]}
        await create(
            client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "shop"}, "spec": routes}
        )
        plane = await stack.enter_async_context(control_plane(apiserver.kubeconfig))
        proxy = await stack.enter_async_context(envoy(tmp_path, plane.port, namespace=namespace))
        found = Scene(client, namespace, plane, proxy, f"http://127.0.0.1:{port}/", one, two)
        await until(lambda: _answers(found), "the gateway answers")
        yield found


async def _answers(scene: Scene) -> bool:
    return (await scene.asked()).statuses[200] == 1


async def test_unknown_hosts_get_404_from_istio_envoy(scene: Scene) -> None:
    async with (
        ClientSession() as session,
        session.get(scene.url, headers={"Host": "nobody.example.com"}) as response,
    ):
        assert response.status == 404
        assert response.headers["server"] == "istio-envoy"


async def test_weights_shift_under_load_without_an_error(scene: Scene) -> None:
    async with steady(scene.url, HOST) as load:
        for weight in (10, 30, 50, 70, 100):
            seen = scene.two.hosts.total()
            await scene.shift(100 - weight, weight)
            await until(partial(_more, scene.two, seen + 20), f"{weight} % arrive")
    assert load.errors == []
    assert set(load.statuses) == {200}
    assert load.total > 200
    await until(lambda: _all_go_to(scene, "two"), "everything goes to two")


async def _all_go_to(scene: Scene, name: str) -> bool:
    return (await scene.asked(20)).names == {name: 20}


async def test_half_means_about_half(scene: Scene) -> None:
    await scene.shift(50, 50)
    await until(lambda: _both(scene), "both answer")
    load = await scene.asked(400)
    # Five standard deviations.
    assert 150 < load.names["two"] < 250


async def _both(scene: Scene) -> bool:
    return len((await scene.asked(20)).names) == 2


async def test_a_mirror_sees_the_request_with_a_shadow_host(scene: Scene) -> None:
    await scene.shift(100, 0, mirror={"host": "two"}, mirrorPercentage={"value": 100})
    await until(lambda: _mirrored(scene), "a copy arrives")
    before = scene.two.hosts.total()
    load = await scene.asked(20)
    assert load.names == {"one": 20}
    await until(lambda: scene.two.hosts.total() >= before + 20, "all copies arrive")
    assert set(scene.two.hosts) == {f"{HOST}-shadow"}


async def _mirrored(scene: Scene) -> bool:
    await scene.asked()
    return scene.two.hosts.total() > 0


async def test_headers_uri_and_method_choose_a_route(scene: Scene) -> None:
    to_two: dict[str, Any] = {"route": [{"destination": {"host": "two"}}]}
    matches = [
        {"headers": {"x-cohort": {"exact": "internal"}}},
        {"uri": {"prefix": "/beta"}, "method": {"exact": "GET"}},
        {"queryParams": {"v": {"regex": "2|two"}}},
    ]
    await scene.route({"http": [{"match": matches, **to_two}, {"route": shares(100, 0)}]})

    async def applied() -> bool:
        return (await scene.asked(path="beta/1")).names == {"two": 1}

    await until(applied, "the rule applies")
    assert (await scene.asked(5, **{"x-cohort": "internal"})).names == {"two": 5}
    assert (await scene.asked(5, path="?v=two")).names == {"two": 5}
    assert (await scene.asked(5, path="?v=3", **{"x-cohort": "other"})).names == {"one": 5}


async def test_redirect_rewrite_and_direct_response(scene: Scene) -> None:
    rules = [
        {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 308}},
        {"match": [{"uri": {"prefix": "/tea"}}], "directResponse": {"status": 418, "body": {"string": "short"}}},
        {"match": [{"uri": {"prefix": "/api"}}], "rewrite": {"uri": "/"}, "route": shares(100, 0),
         "headers": {"request": {"set": {"x-by": "100%"}}, "response": {"add": {"x-seen": "yes"}}}},
        {"route": shares(100, 0)},
    ]  # fmt: skip
    await scene.route({"http": rules})

    async def applied() -> bool:
        return (await scene.asked(path="tea")).statuses[418] == 1

    await until(applied, "the rules apply")
    async with ClientSession() as session:
        headers = {"Host": HOST}
        async with session.get(
            scene.url + "old/x", headers=headers, allow_redirects=False
        ) as found:
            assert (found.status, found.headers["location"]) == (308, f"http://{HOST}/new")
        async with session.get(scene.url + "api/items?a=1", headers=headers) as found:
            assert (await found.json())["path"] == "/items?a=1"
            assert found.headers["x-seen"] == "yes"
    assert scene.one.headers["x-by"] == "100%"


async def test_an_endpoint_that_is_not_ready_leaves_within_a_second(scene: Scene) -> None:
    gone = endpoint_slice("one", scene.one.port, ready=False)
    started = asyncio.get_running_loop().time()
    await scene.client.patch(
        ENDPOINT_SLICE, scene.namespace, "one-1", {"endpoints": gone["endpoints"]}
    )

    async def unavailable() -> bool:
        return (await scene.asked()).statuses[503] == 1

    await until(unavailable, "no endpoint is left", 1.0)
    assert asyncio.get_running_loop().time() - started < 1.0
    await scene.client.patch(
        ENDPOINT_SLICE, scene.namespace, "one-1",
        {"endpoints": endpoint_slice("one", scene.one.port)["endpoints"]},
    )  # fmt: skip
    await until(lambda: _answers(scene), "it is back", 1.0)


async def test_a_cluster_and_its_route_in_one_push_lose_nothing(scene: Scene) -> None:
    """The route waits until the cluster has its endpoints; the cluster goes after the route."""
    registry, hub = scene.plane.registry, scene.plane.hub
    ref, namespace = Ref("VirtualService", scene.namespace, "shop"), scene.namespace
    before = registry.tables[ref]
    async with backend("three") as three, steady(scene.url, HOST) as load:
        for turn in range(10):
            made = Service(
                namespace=namespace,
                name=f"three-{turn}",
                ports=(Port(number=80, name="http", protocol=Protocol.HTTP, target=three.port),),
            )
            share = WeightedDestination(destination=Destination(host=made.host), weight=100)
            registry.set_service(made.host, made)
            endpoint = Endpoint(address="127.0.0.1", port=three.port)
            registry.set_endpoints(made.host, {80: (endpoint,)})
            registry.set_table(ref, replace(before, routes=(Route(action=(share,)),)))
            hub.push()
            await until(partial(_more, three, three.hosts.total() + 10), f"turn {turn}")
            registry.set_table(ref, before)
            registry.set_service(made.host, None)
            registry.set_endpoints(made.host, {})
            hub.push()
            await until(partial(_more, scene.one, scene.one.hosts.total() + 10), "back")
    assert load.errors == []
    assert set(load.statuses) == {200}


def _more(app: Backend, than: int) -> bool:
    return app.hosts.total() > than


async def test_metrics_carry_istios_labels(scene: Scene) -> None:
    await scene.asked(7)
    await scene.asked(3, path="?status=500")

    async def page() -> list[str]:
        text = await scene.proxy.get("/stats/prometheus?filter=istio_requests_total")
        return [line for line in text.splitlines() if "istio_requests_total{" in line]

    async def counted() -> bool:
        return any(_labels(line).get("response_code") == "500" for line in await page())

    await until(counted, "the series appear")
    found = next(
        labels for line in await page() if (labels := _labels(line))["response_code"] == "500"
    )
    host = f"one.{scene.namespace}.svc.cluster.local"
    expected = {
        "reporter": "source",
        "source_workload": "istio-ingressgateway",
        "source_workload_namespace": scene.namespace,
        "destination_service": host,
        "destination_service_name": "one",
        "destination_service_namespace": scene.namespace,
        "request_protocol": "http",
        "response_flags": "-",
    }
    assert {key: found[key] for key in expected} == expected


def _labels(line: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', line))


async def test_a_refused_route_is_reported_and_the_last_good_one_stays(scene: Scene) -> None:
    plane, ref = scene.plane, Ref("VirtualService", scene.namespace, "shop")
    async with steady(scene.url, HOST) as load:
        spoil(plane, ref, ref)
        await until(plane.hub.rejections, "the proxy refuses")

        async def told() -> Object | None:
            obj = await scene.client.get(VIRTUAL_SERVICE, scene.namespace, "shop")
            return (obj.get("status") or {}).get("conditions")

        (condition,) = await until(told, "the status says so")
    assert condition["status"] == "False"
    assert "proxies refuse http." in condition["message"]
    assert load.errors == []
    assert set(load.statuses) == {200}
    await scene.shift(0, 100)
    await until(lambda: _all_go_to(scene, "two"), "a correction is taken")
    await until(lambda: not plane.hub.rejections(), "and the refusal forgotten")


async def test_a_dangling_destination_answers_503_and_is_said_on_the_status(scene: Scene) -> None:
    await scene.route({"http": [{"route": [{"destination": {"host": "nosuch"}}]}]})

    async def condition() -> Object | None:
        obj = await scene.client.get(VIRTUAL_SERVICE, scene.namespace, "shop")
        return next(iter((obj.get("status") or {}).get("conditions") or ()), None)

    found = await until(condition, "the status says so")
    assert found["status"] == "False"
    assert "spec.http[0].route[0].destination.host: no service nosuch" in found["message"]
    assert (await scene.asked()).statuses == {503: 1}
    await scene.shift(100, 0)

    async def mended() -> bool:
        return (await condition() or {}).get("status") == "True"

    await until(mended, "the status is mended")


async def test_a_restart_of_the_control_plane_loses_nothing(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    await install_crds(client)
    port, xds = free_port(), free_port()
    gateway = f"gateway-{namespace}"
    async with backend("one") as one, AsyncExitStack() as stack:
        await create(client, SERVICE, namespace, service("ingress", 80, port, istio=gateway))
        await serve_backend(client, namespace, one)
        await open_gateway(client, namespace)
        rule = {"route": [{"destination": {"host": "one"}}]}
        routes = {"hosts": [HOST], "gateways": ["edge"], "http": [rule]}
        await create(
            client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "shop"}, "spec": routes}
        )
        url = f"http://127.0.0.1:{port}/"
        async with control_plane(apiserver.kubeconfig, xds) as plane:
            await stack.enter_async_context(envoy(tmp_path, xds, namespace=namespace))

            async def answers() -> bool:
                async with ClientSession() as session:
                    return (await ask(session, url, Load(), {"Host": HOST})).statuses[200] == 1

            await until(answers, "the gateway answers")
            first = plane
        load = await stack.enter_async_context(steady(url, HOST))
        assert not first.hub.clients
        async with control_plane(apiserver.kubeconfig, xds) as plane:
            await until(lambda: plane.hub.clients, "the proxy is back")
            connection = next(iter(plane.hub.clients))
            await until(lambda: connection.stream.synced and load.total > 200, "it is in step")
            # It said what it has; all of that is still right. Of its slots for faults it is told that none is in force.
            (pushes,) = plane.metrics.pushes.collect()
            sent = {each.labels["type"] for each in pushes.samples if each.name.endswith("_total")}
            assert sent <= {"ecds"}
    assert load.errors == []
    assert set(load.statuses) == {200}
