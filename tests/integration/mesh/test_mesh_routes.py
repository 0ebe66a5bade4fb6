"""Gateway API's routes with a Service as parent: a real API server, a real sidecar, and what the routes are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from rollout.api.kinds import GRPC_ROUTE, HTTP_ROUTE, SERVICE, VIRTUAL_SERVICE, Kind
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.model.problem import Ref
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.gatewayapi import install_gateway_api
from tests.integration.mesh import pod as pods
from tests.integration.mesh.support import backend, control_plane, create, serve_backend, spoil
from tests.waiting import until


@dataclass(frozen=True, slots=True)
class Scene:
    client: Client
    namespace: str
    plane: ControlPlane
    pod: pods.Pod

    async def reaches(self, name: str, path: str, wanted: str) -> bool:
        """Whether a request to `name` is answered by `wanted`, or with that status."""
        (address,) = (await self.client.get(SERVICE, self.namespace, name))["spec"]["clusterIPs"]
        status, body = await self.pod.curl("-H", f"Host: {name}", f"http://{address}{path}")
        return wanted == (json.loads(body)["name"] if status == 200 else str(status))

    async def told(self, kind: Kind, name: str, *wanted: str) -> bool:
        """Whether conditions hold (or, with a `!`, do not) at its one parent, for the generation that there is."""
        found = await self.client.get(kind, self.namespace, name)
        conditions = [
            condition
            for parent in (found.get("status") or {}).get("parents") or ()
            for condition in parent["conditions"]
            if condition["observedGeneration"] == found["metadata"]["generation"]
        ]
        said = {f"{'' if c['status'] == 'True' else '!'}{c['reason']}" for c in conditions}
        return said == set(wanted)

    async def remark(self, name: str) -> str:
        found = await self.client.get(HTTP_ROUTE, self.namespace, name)
        return str(found["status"]["parents"][0]["conditions"][0]["message"])


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    await install_gateway_api(client)
    async with AsyncExitStack() as stack:
        for name in ("one", "two"):
            app = await stack.enter_async_context(backend(name))
            await serve_backend(client, namespace, app)
        plane = await stack.enter_async_context(control_plane(apiserver.kubeconfig, host="0.0.0.0"))
        yield Scene(
            client,
            namespace,
            plane,
            await stack.enter_async_context(
                pods.pod(tmp_path, plane.port, namespace=namespace, name="app-main", labels={})
            ),
        )


def route(backend: str, **match: Object) -> Object:
    rule = {"backendRefs": [{"name": backend, "port": 80}], "matches": [match]}
    parent = {"group": "", "kind": "Service", "name": "one", "port": 80}
    return {"metadata": {"name": "one"}, "spec": {"parentRefs": [parent], "rules": [rule]}}


@pods.requires
async def test_a_service_s_routes(scene: Scene) -> None:
    path = {"type": "PathPrefix", "value": "/items"}
    await until(partial(scene.reaches, "one", "/items", "one"), "the service answers")
    await create(scene.client, HTTP_ROUTE, scene.namespace, route("two", path=path))
    await until(partial(scene.reaches, "one", "/items", "two"), "requests are routed")
    await until(partial(scene.told, HTTP_ROUTE, "one", "Accepted", "ResolvedRefs"), "it is said")
    assert await scene.reaches("one", "/other", "404")
    assert await scene.reaches("two", "/other", "two")

    rule = {"route": [{"destination": {"host": "one"}}]}
    first = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "http": [rule]}}
    await create(scene.client, VIRTUAL_SERVICE, scene.namespace, first)
    await until(partial(scene.reaches, "one", "/items", "one"), "a VirtualService comes first")

    async def remarked() -> bool:
        return f"VirtualService {scene.namespace}/one" in await scene.remark("one")

    await until(remarked, "which is said")
    await scene.client.delete(VIRTUAL_SERVICE, scene.namespace, "one")
    await until(partial(scene.reaches, "one", "/items", "two"), "the route is in force again")

    spec = {"parentRefs": [route("two")["spec"]["parentRefs"][0] | {"port": 81}]}
    await scene.client.patch(HTTP_ROUTE, scene.namespace, "one", {"spec": spec})
    await until(partial(scene.reaches, "one", "/items", "one"), "a port that is not there")
    await until(
        partial(scene.told, HTTP_ROUTE, "one", "!NoMatchingParent", "ResolvedRefs"), "is said"
    )


@pods.requires
async def test_grpc_routes_are_told_too(scene: Scene) -> None:
    match = {"service": "shop.Catalog", "method": "Get"}
    await create(scene.client, GRPC_ROUTE, scene.namespace, route("two", method=match))
    await until(partial(scene.reaches, "one", "/shop.Catalog/Get", "two"), "calls are routed")
    await until(partial(scene.told, GRPC_ROUTE, "one", "Accepted", "ResolvedRefs"), "it is said")
    assert await scene.reaches("one", "/shop.Catalog/List", "404")


@pods.requires
async def test_what_a_sidecar_refuses_is_said_of_the_route(scene: Scene) -> None:
    await create(scene.client, HTTP_ROUTE, scene.namespace, route("two"))
    await until(partial(scene.reaches, "one", "/", "two"), "requests are routed")
    culprit = Ref("HTTPRoute", scene.namespace, "one")
    spoil(scene.plane, Ref("Service", scene.namespace, "one"), culprit)
    refused = partial(scene.told, HTTP_ROUTE, "one", "!UnsupportedValue", "ResolvedRefs")
    await until(refused, "the refusal is said")
    assert "invalid perl operator" in await scene.remark("one")
    assert await scene.reaches("one", "/", "two"), "the last good one stays"

    spec = route("one")["spec"]
    await scene.client.patch(HTTP_ROUTE, scene.namespace, "one", {"spec": spec})
    await until(partial(scene.reaches, "one", "/", "one"), "a correction is taken")
    await until(partial(scene.told, HTTP_ROUTE, "one", "Accepted", "ResolvedRefs"), "which is said")


@pods.requires
async def test_what_a_sidecar_refuses_is_said_of_the_virtual_service(scene: Scene) -> None:
    for name, hosts in (("one", ["one"]), ("innocent", ["two"])):
        spec = {"hosts": hosts, "http": [{"route": [{"destination": {"host": "two"}}]}]}
        await create(scene.client, VIRTUAL_SERVICE, scene.namespace,
                     {"metadata": {"name": name}, "spec": spec})  # fmt: skip
    await until(partial(scene.reaches, "one", "/", "two"), "requests are routed")
    culprit = Ref("VirtualService", scene.namespace, "one")
    scene.plane.registry.note(Ref("VirtualService", scene.namespace, "innocent"))
    spoil(scene.plane, culprit, culprit)

    async def message(name: str) -> str:
        found = await scene.client.get(VIRTUAL_SERVICE, scene.namespace, name)
        return "".join(c["message"] for c in (found.get("status") or {}).get("conditions") or ())

    said = await until(partial(message, "one"), "the refusal is said")
    assert f"proxies refuse 80/one.{scene.namespace}.svc.cluster.local" in said
    assert await message("innocent") == ""
    assert await scene.reaches("one", "/", "two"), "the last good one stays"
    patch = {"spec": {"http": [{"route": [{"destination": {"host": "one"}}]}]}}
    await scene.client.patch(VIRTUAL_SERVICE, scene.namespace, "one", patch)
    await until(partial(scene.reaches, "one", "/", "one"), "a correction is taken")

    async def forgiven() -> bool:
        return not await message("one")

    await until(forgiven, "which is said")
