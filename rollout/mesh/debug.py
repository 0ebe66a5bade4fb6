"""The control plane's debug pages, as Istio's on port 8080: who is connected, who has what, which services are known.

Changes nothing, on loopback. Says names and versions, never contents: a Secret's are nobody's here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rollout.mesh.hub import Hub
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.inject import inject
from rollout.mesh.metrics import short
from rollout.mesh.model.registry import Registry
from rollout.mesh.xds.server import Connection

_TYPES = ("cds", "lds", "eds", "rds", "sds")
_NOT_SENT = "NOT SENT"


def debug_app(hub: Hub, registry: Registry, injection: InjectionConfig | None) -> Starlette:
    """`/debug/syncz`, `/debug/config_dump?proxyID=POD.NAMESPACE`, `/debug/registryz` and `/debug/endpointz`.

    `POST /debug/inject` answers the patch that the webhook would, to a `{"namespace": …, "object": POD}`.
    """

    async def syncz(_request: Request) -> Response:
        connected = sorted(hub.clients, key=lambda each: each.id)
        return JSONResponse([_sync(each, hub.clients[each].pod) for each in connected])

    async def config_dump(request: Request) -> Response:
        asked = request.query_params.get("proxyID", "")
        for connection, client in hub.clients.items():
            if asked == f"{client.pod[1]}.{client.pod[0]}":
                return JSONResponse(_wanted(connection))
        reason = f"no proxy {asked!r} is connected here; proxyID is POD.NAMESPACE"
        return JSONResponse({"error": reason}, status_code=404)

    async def registryz(_request: Request) -> Response:
        return JSONResponse([_service(registry, host) for host in sorted(registry.services)])

    async def endpointz(_request: Request) -> Response:
        return JSONResponse(
            {host: _endpoints(registry, host) for host in sorted(registry.endpoints)}
        )

    async def injected(request: Request) -> Response:
        asked = await request.json()
        if injection is None or not isinstance(asked, dict) or not asked.get("object"):
            return JSONResponse({"error": "no injector here, or no object"}, status_code=400)
        return JSONResponse(inject(asked["object"], str(asked.get("namespace", "")), injection))

    pages = (syncz, config_dump, registryz, endpointz)
    routes = [Route(f"/debug/{page.__name__}", page) for page in pages]
    return Starlette(routes=[*routes, Route("/debug/inject", injected, methods=["POST"])])


def _sync(connection: Connection, pod: tuple[str, str]) -> Mapping[str, Any]:
    states = {short(kind): state for kind, state in connection.stream.states.items()}
    return {
        "proxy": f"{pod[1]}.{pod[0]}",
        "type": connection.id.split("~", 1)[0],
        "synced": connection.stream.synced,
        **{kind: states.get(kind, _NOT_SENT) for kind in _TYPES},
    }


def _wanted(connection: Connection) -> Mapping[str, Mapping[str, str]]:
    """Names and versions of all that the proxy asked for, as it should have them."""
    return {short(kind): names for kind, names in sorted(connection.stream.wanted.items())}


def _service(registry: Registry, host: str) -> Mapping[str, Any]:
    service = registry.services[host]
    return {
        "hostname": host,
        "addresses": list(service.addresses),
        "ports": [
            {"name": port.name, "port": port.number, "protocol": port.protocol.value}
            for port in service.ports
        ],
        "endpoints": {name: len(each) for name, each in _endpoints(registry, host).items()},
    }


def _endpoints(registry: Registry, host: str) -> Mapping[str, list[str]]:
    ports = registry.endpoints.get(host, {})
    return {
        str(name): [f"{each.address}:{each.port}" for each in endpoints]
        for name, endpoints in sorted(ports.items(), key=lambda item: str(item[0]))
    }
