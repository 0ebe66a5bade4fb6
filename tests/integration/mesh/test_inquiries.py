"""What istioctl asks of a control plane over xDS: by its own messages, with real tokens, about a real Envoy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2 as dumps
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2
from google.protobuf import json_format

from rollout.api.kinds import VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.translate import names
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import identities, support
from tests.integration.mesh.identities import Place, bearer, channel, roots, token
from tests.integration.mesh.support import (
    backend,
    create,
    envoy,
    free_port,
    open_gateway,
    serve_backend,
)
from tests.waiting import until

_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
_STATUS = csds_pb2.ConfigStatus.Name


def inquiry(type_url: str, *asked: str) -> bytes:
    """As istioctl sends it: a node that is no pod of the caller's, and a nonce that nobody gave."""
    request = discovery_pb2.DiscoveryRequest(
        type_url=type_url, resource_names=asked, response_nonce="2026-11-21 20:00:00 +0000 UTC"
    )
    request.node.id = "sidecar~10.0.0.9~test-1.default~default.svc.cluster.local"
    request.node.metadata.update({"GENERATOR": "event", "SERVICE_ACCOUNT": "default"})
    return bytes(request.SerializeToString())


@dataclass(slots=True)
class Scene:
    plane: ControlPlane
    trusted: bytes
    operator: str
    workload: str
    proxy: support.Envoy
    name: str

    async def ask(self, text: str, type_url: str, *asked: str) -> Any:
        async with channel(self.plane, self.trusted) as connected:
            call: Any = connected.stream_stream(_ADS + "StreamAggregatedResources")(
                metadata=bearer(text), timeout=20
            )
            await call.write(inquiry(type_url, *asked))
            found = discovery_pb2.DiscoveryResponse.FromString(await call.read())
            call.cancel()
        assert found.type_url == type_url
        assert json.loads(found.control_plane.identifier)["Component"] == "istiod"
        return found

    async def page(self, text: str, asked: str) -> bytes:
        [resource] = (await self.ask(text, "istio.io/debug", asked)).resources
        assert resource.type_url == "istio.io/debug"
        return bytes(resource.value)

    async def states(self) -> dict[str, str]:
        [resource] = (await self.ask(self.operator, "istio.io/debug/syncz")).resources
        config = csds_pb2.ClientConfig()
        assert resource.Unpack(config)
        assert config.node.id == self.name
        assert config.node.metadata["NAMESPACE"] in self.name
        return {each.type_url: _STATUS(each.config_status) for each in config.generic_xds_configs}


@asynccontextmanager
async def showing(
    apiserver: ApiServer,
    client: Client,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Scene]:
    """A gateway that leads to a backend, with its identity; the test's namespace is the control plane's too."""
    await install_crds(client)
    port = free_port()
    await open_gateway(client, namespace, port)
    rule = {"route": [{"destination": {"host": "one"}}]}
    shop = {"hosts": ["*"], "gateways": ["edge"], "http": [rule]}
    await create(client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "shop"}, "spec": shop})
    async with (
        identities.control_plane(apiserver.kubeconfig, namespace, monkeypatch) as plane,
        backend("one") as one,
    ):
        await serve_backend(client, namespace, one)
        place = Place(tmp_path, plane, namespace, "istio-ingressgateway")
        await place.fill(client)
        async with envoy(
            tmp_path, plane.secure_port, namespace=namespace, identity=place.directory
        ) as proxy:
            yield Scene(
                plane,
                await roots(client, namespace),
                await token(client, namespace, "default"),
                await token(client, "default", "default"),
                proxy,
                f"istio-ingressgateway-1.{namespace}",
            )


@pytest.fixture
async def scene(
    apiserver: ApiServer,
    client: Client,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Scene]:
    async with showing(apiserver, client, namespace, tmp_path, monkeypatch) as found:
        yield found


async def test_istioctl_sees_what_a_proxy_has(scene: Scene) -> None:
    routed = {names.CLUSTER, names.ENDPOINTS, names.LISTENER, names.ROUTES}

    async def synced() -> bool:
        states = await scene.states()
        return routed <= states.keys() and set(states.values()) == {"SYNCED"}

    await until(synced, "every type is synced")
    dump = await scene.ask(scene.operator, "istio.io/debug/config_dump", scene.name)
    should = {each.type_url.rsplit(".", 1)[1]: each for each in dump.resources}
    assert should.keys() == {"ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump"}
    does = {
        each["@type"].rsplit(".", 1)[1]: each
        for each in json.loads(await scene.proxy.get("/config_dump"))["configs"]
    }

    def named(config: Any, lists: str, key: str) -> dict[str, Any]:
        every = [each[key] for each in config.get(lists, ())]
        return {each.get("name", ""): each for each in every}

    kinds = {
        "ClustersConfigDump": (dumps.ClustersConfigDump(), "dynamic_active_clusters", "cluster"),
        "RoutesConfigDump": (dumps.RoutesConfigDump(), "dynamic_route_configs", "route_config"),
    }
    for kind, (message, lists, key) in kinds.items():
        assert should[kind].Unpack(message)
        told = json_format.MessageToDict(message, preserving_proto_field_name=True)
        mine, its = named(told, lists, key), named(does[kind], lists, key)
        assert mine.keys() == its.keys()
        for name, each in its.items():
            if "vhds" not in each:
                assert mine[name] == each
    listeners = dumps.ListenersConfigDump()
    assert should["ListenersConfigDump"].Unpack(listeners)
    assert {each.name for each in listeners.dynamic_listeners} == {
        each["name"] for each in does["ListenersConfigDump"]["dynamic_listeners"]
    }


async def test_pages_are_istios_with_its_sentences(scene: Scene) -> None:
    mine = scene.operator
    [seen] = json.loads(await scene.page(mine, "syncz"))
    assert (seen["proxy"], seen["type"]) == (scene.name, "router")
    versions = json.loads(await scene.page(mine, f"config_dump?proxyID={scene.name}"))
    assert any(name.startswith("outbound|80||one.") for name in versions["cds"])
    assert "one." in (await scene.page(mine, "registryz")).decode()
    assert "syncz" in json.loads(await scene.page(mine, "list"))
    assert b"404 page not found" in await scene.page(mine, "adsz")
    assert b"must provide a proxyID" in await scene.page(mine, "config_dump")
    assert b"not connected to this Pilot" in await scene.page(mine, "config_dump?proxyID=a.b")


async def test_others_are_told_of_their_own_namespace_alone(scene: Scene) -> None:
    other = scene.workload
    assert not (await scene.ask(other, "istio.io/debug/syncz")).resources
    assert not (await scene.ask(other, "istio.io/debug/config_dump", scene.name)).resources
    assert await scene.page(other, "syncz") == b"[]"
    proxy = f"config_dump?proxyID={scene.name}"
    assert b"not connected" in await scene.page(other, proxy)
    cases = {
        ("istio.io/debug", "registryz"): grpc.StatusCode.PERMISSION_DENIED,
        ("istio.io/debug", "endpointz"): grpc.StatusCode.PERMISSION_DENIED,
        ("istio.io/debug",): grpc.StatusCode.INVALID_ARGUMENT,
        ("istio.io/nack",): grpc.StatusCode.INVALID_ARGUMENT,
    }
    for asked, code in cases.items():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scene.ask(other, *asked)
        assert caught.value.code() is code, asked
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scene.ask("nonsense", "istio.io/debug/syncz")
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_answer_is_given_once_in_either_variant(scene: Scene) -> None:
    async with channel(scene.plane, scene.trusted) as connected:
        call: Any = connected.stream_stream(_ADS + "DeltaAggregatedResources")(
            metadata=bearer(scene.operator), timeout=20
        )

        def asked(nonce: str = "") -> bytes:
            request = discovery_pb2.DeltaDiscoveryRequest(
                type_url="istio.io/debug/syncz", response_nonce=nonce
            )
            return bytes(request.SerializeToString())

        await call.write(asked())
        first = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert [each.name for each in first.resources] == [scene.name]
        await call.write(asked(first.nonce))
        await call.write(asked())
        second = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert second.nonce != first.nonce, "an acknowledgement asks for nothing"
        call.cancel()


async def test_who_proves_nothing_is_told_nothing(apiserver: ApiServer, client: Client) -> None:
    await install_crds(client)
    async with (
        support.control_plane(apiserver.kubeconfig) as plane,
        grpc.aio.insecure_channel(f"127.0.0.1:{plane.port}") as connected,
    ):
        call: Any = connected.stream_stream(_ADS + "StreamAggregatedResources")(timeout=20)
        await call.write(inquiry("istio.io/debug/syncz"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
