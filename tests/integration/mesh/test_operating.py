"""What operators look at: the control plane's debug pages, and what a real Envoy says of itself, read into rows."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
from aiohttp import ClientSession

from rollout.api.kinds import SERVICE, VIRTUAL_SERVICE
from rollout.cli.proxy import comparing, dump, levels
from rollout.kube.client import Client
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.debug.pages import Pages
from rollout.mesh.debug.web import debug_app
from rollout.mesh.inject.config import InjectionConfig
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import (
    backend,
    control_plane,
    create,
    envoy,
    free_port,
    open_gateway,
    serve_backend,
    service,
)
from tests.waiting import until


def pages_of(plane: ControlPlane) -> httpx2.AsyncClient:
    app = httpx2.ASGITransport(
        app=debug_app(
            Pages(plane.hub, plane.registry),
            InjectionConfig(image="rollout:1", discovery_address="mesh:15012"),
        )
    )
    return httpx2.AsyncClient(transport=app, base_url="http://debug")


async def test_a_proxy_and_its_control_plane_say_the_same(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    await install_crds(client)
    gateway, port = f"gateway-{namespace}", free_port()
    shares = [
        {"destination": {"host": name}, "weight": weight}
        for name, weight in (("one", 90), ("two", 10))
    ]
    shop = {"hosts": ["shop.example.com"], "gateways": ["edge"], "http": [{"route": shares}]}
    async with backend("one") as one, backend("two") as two:
        await create(client, SERVICE, namespace, service("ingress", 80, port, istio=gateway))
        for each in (one, two):
            await serve_backend(client, namespace, each)
        await open_gateway(client, namespace)
        await create(
            client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "shop"}, "spec": shop}
        )
        async with (
            control_plane(apiserver.kubeconfig) as plane,
            envoy(tmp_path, plane.port, namespace=namespace) as proxy,
            pages_of(plane) as pages,
        ):

            async def synced() -> bool:
                return bool((await pages.get("/debug/syncz")).json()[0]["synced"])

            await until(synced, "synced")
            name = f"istio-ingressgateway-1.{namespace}"
            [seen] = (await pages.get("/debug/syncz")).json()
            assert (seen["proxy"], seen["type"]) == (name, "router")
            assert {seen[kind] for kind in ("cds", "lds", "eds", "rds")} == {"SYNCED"}

            wanted = (await pages.get("/debug/config_dump", params={"proxyID": name})).json()
            said = json.loads(await proxy.get("/config_dump"))
            assert list(comparing.differences(wanted, comparing.versions(said))) == []
            assert f"http.{port}" in wanted["rds"]
            wanted["rds"][f"http.{port}"] = "newer"
            assert list(comparing.differences(wanted, comparing.versions(said))) == [
                ("rds", f"http.{port}", "another version")
            ]

            hosts = [f"{each}.{namespace}.svc.cluster.local" for each in ("one", "two")]
            rows = dump.routes(said).rows
            assert (
                f"http.{port}", "shop.example.com:80", "shop.example.com", "prefix /",
                f"90% outbound|80||{hosts[0]}, 10% outbound|80||{hosts[1]}",
            ) in rows  # fmt: skip
            for host in hosts:
                assert (host, "80", "-", "outbound", "EDS") in dump.clusters(said).rows
            listening = dump.containing(dump.listeners(said), [f"http.{port}"])
            assert [row[2] for row in listening.rows] == [str(port)]
            health = json.loads(await proxy.get("/clusters?format=json"))
            [row] = dump.containing(dump.endpoints(health), [hosts[0]]).rows
            assert row[1:3] == ("HEALTHY", "OK")

            assert dump.bootstrap(said)["node"]["id"].split("~")[2] == name
            async with ClientSession() as session:
                logging = f"http://127.0.0.1:{proxy.admin}/logging"
                async with session.post(logging, params={"router": "debug"}) as answer:
                    told = levels.told(levels.loggers(await answer.text()))
            assert list(told) == ["loggers but these: warning", "  router: debug"]

            known = {
                each["hostname"]: each for each in (await pages.get("/debug/registryz")).json()
            }
            assert known[hosts[0]]["endpoints"] == {"80": 1}
            nobody = await pages.get("/debug/config_dump", params={"proxyID": "nobody.here"})
            assert nobody.status_code == 404
            assert "nobody.here" in nobody.json()["error"]

            pod = {"metadata": {"name": "catalog"}, "spec": {"containers": [{"name": "app"}]}}
            asked = {"namespace": namespace, "object": pod}
            patch = (await pages.post("/debug/inject", json=asked)).json()
            assert "/spec/initContainers" in {each["path"] for each in patch}
