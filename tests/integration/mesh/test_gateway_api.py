"""Gateway API on a real API server: a class that appears with its kinds, a Gateway with a Service, a real Envoy behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from rollout.api.kinds import (
    ENDPOINT_SLICE,
    GATEWAY_CLASS,
    HTTP_ROUTE,
    KUBERNETES_GATEWAY,
    SERVICE,
)
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object
from rollout.mesh.ingest.gatewayapi.exposure import PROXIES, service_name
from tests.integration.apiserver import ApiServer
from tests.integration.gatewayapi import GATEWAYS, install_gateway_api
from tests.integration.mesh.support import (
    Load,
    ask,
    backend,
    control_plane,
    create,
    endpoint_slice,
    envoy,
    serve_backend,
    service,
)
from tests.waiting import until


@dataclass(slots=True)
class Scene:
    """A namespace that is the mesh's own and its users', with a gateway's Envoy and a backend `web`."""

    client: Client
    namespace: str

    @property
    def service(self) -> str:
        """The Gateway's."""
        return service_name(self.namespace, "front")

    async def get(self, kind: Any, name: str) -> Object:
        try:
            return await self.client.get(kind, self.namespace, name)
        except NotFound:
            return {}

    async def conditions(self, kind: Any, name: str) -> dict[str, str]:
        """Types with their status, of the object or of its first parent."""
        status = (await self.get(kind, name)).get("status") or {}
        found = status.get("conditions") or (status.get("parents") or [{}])[0].get("conditions")
        return {each["type"]: each["status"] for each in found or ()}

    async def asked(self, path: str, host: str = "shop.example.com") -> int:
        ports = (await self.get(SERVICE, self.service))["spec"]["ports"]
        url = f"http://127.0.0.1:{ports[0]['targetPort']}{path}"
        async with ClientSession() as session:
            load = await ask(session, url, Load(), {"Host": host})
        return next(iter(load.statuses), 0)


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        await create(client, SERVICE, namespace, service(PROXIES, 80, 8080, istio="gw"))
        app = await stack.enter_async_context(backend("web"))
        await serve_backend(client, namespace, app)
        plane = await stack.enter_async_context(
            control_plane(apiserver.kubeconfig, system_namespace=namespace)
        )
        await install_gateway_api(client)
        await install_gateway_api(client, kinds=GATEWAYS)
        await stack.enter_async_context(
            envoy(tmp_path, plane.port, namespace=namespace, labels={"istio": "gw"})
        )
        yield Scene(client, namespace)


def gateway(**more: Any) -> Object:
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}]
    return {
        "metadata": {"name": "front"},
        "spec": {"gatewayClassName": "rollout", "listeners": listeners, **more},
    }


def route(path: str, backend: str = "web") -> Object:
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": path}}],
            "backendRefs": [{"name": backend, "port": 80}],
        }
    ]
    return {
        "metadata": {"name": "shop"},
        "spec": {"parentRefs": [{"name": "front"}], "rules": rules},
    }


async def test_a_gateway_s_life(scene: Scene) -> None:
    async def known() -> bool:
        try:
            found = await scene.client.get(GATEWAY_CLASS, None, "rollout")
        except NotFound:
            return False
        return bool((found.get("status") or {}).get("supportedFeatures"))

    await until(known, "the class is there", seconds=60)
    await create(scene.client, KUBERNETES_GATEWAY, scene.namespace, gateway())
    await create(scene.client, HTTP_ROUTE, scene.namespace, route("/api"))
    await until(lambda: _holds(scene.get(SERVICE, scene.service)), "the Gateway has a Service")
    # No controller makes endpoints here.
    behind = endpoint_slice(scene.service, 20_000)
    behind["ports"][0]["name"] = "http-80"
    await create(scene.client, ENDPOINT_SLICE, scene.namespace, behind)

    fine = {"Accepted": "True", "Programmed": "True"}
    await until(
        _is(scene.conditions, KUBERNETES_GATEWAY, "front", fine), "the Gateway is programmed"
    )
    good = {"Accepted": "True", "ResolvedRefs": "True"}
    await until(_is(scene.conditions, HTTP_ROUTE, "shop", good), "the route is accepted")
    await until(_answers(scene, "/api/x", 200), "requests are answered")
    assert await scene.asked("/apix") == 404
    assert await scene.asked("/api", host="other.org") == 404
    status = (await scene.get(KUBERNETES_GATEWAY, "front"))["status"]
    service_address = (await scene.get(SERVICE, scene.service))["spec"]["clusterIP"]
    assert [each["value"] for each in status["addresses"]] == [service_address]
    assert status["listeners"][0]["attachedRoutes"] == 1

    changed = route("/api", "absent")["spec"]
    await scene.client.patch(HTTP_ROUTE, scene.namespace, "shop", {"spec": changed})
    await until(_answers(scene, "/api/x", 500), "a backend that is not there is an error")
    bad = {"Accepted": "True", "ResolvedRefs": "False"}
    await until(_is(scene.conditions, HTTP_ROUTE, "shop", bad), "and is said")

    await scene.client.delete(KUBERNETES_GATEWAY, scene.namespace, "front")
    await until(lambda: _gone(scene.get(SERVICE, scene.service)), "its Service goes with it")

    async def forgotten() -> bool:
        return not ((await scene.get(HTTP_ROUTE, "shop")).get("status") or {}).get("parents")

    await until(forgotten, "the route has no parent any more")


async def _holds(asked: Awaitable[Object]) -> bool:
    return bool(await asked)


async def _gone(asked: Awaitable[Object]) -> bool:
    return not await asked


def _is(
    ask: Callable[[Any, str], Awaitable[dict[str, str]]], kind: Any, name: str, wanted: Object
) -> Callable[[], Awaitable[bool]]:
    async def same() -> bool:
        return await ask(kind, name) == wanted

    return same


def _answers(scene: Scene, path: str, status: int) -> Callable[[], Awaitable[bool]]:
    async def answered() -> bool:
        return await scene.asked(path) == status

    return answered
