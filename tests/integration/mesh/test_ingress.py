"""Kubernetes' Ingresses on a real API server with a real Envoy: served, told where, and told what is not served."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from rollout.api.kinds import EVENT, INGRESS, INGRESS_CLASS, SECRET, SERVICE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.model.problem import Ref
from tests.certificates import Authority, secret_data
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import (
    backend,
    control_plane,
    create,
    envoy,
    free_port,
    serve_backend,
    service,
    spoil,
)
from tests.waiting import until


def path(text: str, name: str, kind: str = "Prefix") -> Object:
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    return {"path": text, "pathType": kind, "backend": backend}


@dataclass(slots=True)
class Scene:
    client: Client
    namespace: str
    plane: ControlPlane
    port: int
    secure_port: int
    authority: Authority

    @property
    def host(self) -> str:
        """Others' Ingresses of the same API server are served too."""
        return f"{self.namespace}.example.com"

    async def ingress(self, name: str, spec: Object) -> None:
        given = {"ingressClassName": self.namespace, **spec}
        await create(
            self.client, INGRESS, self.namespace, {"metadata": {"name": name}, "spec": given}
        )

    async def says(self, text: str) -> bool:
        """Whether an event of the Ingress `shop` does."""
        events = await self.client.list(EVENT, self.namespace)
        found = [each for each in events if each["involvedObject"]["name"] == "shop"]
        return any(text in each["message"] for each in found)

    async def get(self, where: str, host: str = "") -> tuple[int, str]:
        """Status, and which backend answers; 0 where nobody does."""
        try:
            async with (
                ClientSession() as session,
                session.get(
                    f"http://127.0.0.1:{self.port}{where}", headers={"Host": host or self.host}
                ) as answer,
            ):
                body: Any = await answer.json() if answer.status == 200 else {}
                return answer.status, body.get("name", "")
        except OSError:
            return 0, ""

    async def secure(self) -> str:
        """Which backend answers over TLS that the authority vouches for; empty where none does."""
        context = ssl.create_default_context(cadata=self.authority.certificate.decode())
        try:
            async with (
                ClientSession(connector=TCPConnector(ssl=context)) as session,
                session.get(
                    f"https://127.0.0.1:{self.secure_port}/",
                    headers={"Host": self.host},
                    server_hostname=self.host,
                ) as answer,
            ):
                return str((await answer.json())["name"])
        except OSError:
            return ""


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    port, secure = free_port(), free_port()
    gateway = service("istio-ingressgateway", 80, port, istio="ingressgateway", edge=namespace)
    gateway["spec"]["ports"].append({"name": "https", "port": 443, "targetPort": secure})
    await create(client, SERVICE, namespace, gateway)
    controller = {"controller": "istio.io/ingress-controller"}
    await client.create(INGRESS_CLASS, {"metadata": {"name": namespace}, "spec": controller})
    labels = {"istio": "ingressgateway", "edge": namespace}
    async with AsyncExitStack() as stack:
        for name in ("web", "catalog"):
            await serve_backend(client, namespace, await stack.enter_async_context(backend(name)))
        plane = await stack.enter_async_context(
            control_plane(
                apiserver.kubeconfig,
                credential_namespaces=(namespace,),
                system_namespace=namespace,
            )
        )
        await stack.enter_async_context(
            envoy(tmp_path, plane.port, namespace=namespace, labels=labels)
        )
        yield Scene(client, namespace, plane, port, secure, Authority())


async def test_an_ingress_is_served_and_told_where(scene: Scene) -> None:
    rules = [{"host": scene.host, "http": {"paths": [path("/", "web"), path("/items", "catalog")]}}]
    await scene.ingress("shop", {"rules": rules})

    async def served() -> bool:
        return await scene.get("/items/1") == (200, "catalog")

    await until(served, "the Ingress is served")
    assert await scene.get("/itemsandmore") == (200, "web")
    assert await scene.get("/", "other.example.com") == (404, "")
    address = (await scene.client.get(SERVICE, scene.namespace, "istio-ingressgateway"))["spec"][
        "clusterIP"
    ]

    async def told() -> bool:
        status = (await scene.client.get(INGRESS, scene.namespace, "shop"))["status"]
        return bool(status["loadBalancer"].get("ingress") == [{"ip": address}])

    await until(told, "its status says where it is reached")
    await scene.client.patch(INGRESS, scene.namespace, "shop", {"spec": {"rules": [
        {"host": scene.host, "http": {"paths": [path("/items", "web", "Exact")]}}]}})  # fmt: skip

    async def changed() -> bool:
        return await scene.get("/items") == (200, "web") and await scene.get("/items/1") == (
            404,
            "",
        )

    await until(changed, "the change is served")


async def test_tls_by_the_secret_that_it_names(scene: Scene) -> None:
    rules = [{"host": scene.host, "http": {"paths": [path("/", "web")]}}]
    await scene.ingress(
        "shop", {"rules": rules, "tls": [{"hosts": [scene.host], "secretName": "shop-tls"}]}
    )

    said = partial(scene.says, "shop-tls does not exist")
    await until(said, "an event says that the Secret is missing")
    certificate, key = scene.authority.issue(scene.host)
    data = secret_data(tls_crt=certificate, tls_key=key)
    await create(
        scene.client, SECRET, scene.namespace, {"metadata": {"name": "shop-tls"}, "data": data}
    )

    async def secured() -> bool:
        return await scene.secure() == "web"

    await until(secured, "TLS is served")


async def test_what_the_gateway_refuses_is_said_of_the_ingress(scene: Scene) -> None:
    rules = [{"host": scene.host, "http": {"paths": [path("/", "web")]}}]
    await scene.ingress("shop", {"rules": rules})

    async def served() -> bool:
        return await scene.get("/") == (200, "web")

    await until(served, "the Ingress is served")
    culprit = Ref("Ingress", scene.namespace, "shop")
    spoil(scene.plane, Ref("Ingress", "", scene.host), culprit)
    await until(partial(scene.says, "proxies refuse http."), "an event says so")
    assert await served(), "the last good one stays"
