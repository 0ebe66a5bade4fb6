"""The control plane's debug pages, as Istio's on port 8080: who is connected, who has what, which services are known.

Read-only, on loopback. Says names and versions, never contents: a Secret's are nobody's here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rollout.mesh.hub import Hub
from rollout.mesh.metrics import short
from rollout.mesh.model.registry import Registry
from rollout.mesh.xds.server import Connection

_TYPES = ("cds", "lds", "eds", "rds", "sds")
_NOT_SENT = "NOT SENT"


def debug_app(hub: Hub, registry: Registry) -> Starlette:
    """`/debug/syncz`, `/debug/config_dump?proxyID=POD.NAMESPACE`, `/debug/registryz` and `/debug/endpointz`."""

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

    pages = (syncz, config_dump, registryz, endpointz)
    return Starlette(routes=[Route(f"/debug/{page.__name__}", page) for page in pages])


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
