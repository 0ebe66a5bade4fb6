"""The pages over HTTP, as Istio's on port 8080; on loopback, so that only who may enter the pod can read them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rollout.mesh.debug.pages import Pages, absent
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.inject import inject


def debug_app(pages: Pages, injection: InjectionConfig | None) -> Starlette:
    """`/debug/syncz`, `/debug/config_dump?proxyID=POD.NAMESPACE`, `/debug/registryz` and `/debug/endpointz`.

    `POST /debug/inject` answers the patch that the webhook would, to a `{"namespace": …, "object": POD}`.
    """

    async def syncz(_request: Request) -> Response:
        return JSONResponse(pages.syncz())

    async def config_dump(request: Request) -> Response:
        asked = request.query_params.get("proxyID", "")
        found = pages.config_dump(asked)
        if found is None:
            return JSONResponse({"error": absent(asked)}, status_code=404)
        return JSONResponse(found)

    async def registryz(_request: Request) -> Response:
        return JSONResponse(pages.registryz())

    async def endpointz(_request: Request) -> Response:
        return JSONResponse(pages.endpointz())

    async def injected(request: Request) -> Response:
        asked = await request.json()
        if injection is None or not isinstance(asked, dict) or not asked.get("object"):
            return JSONResponse({"error": "no injector here, or no object"}, status_code=400)
        return JSONResponse(inject(asked["object"], str(asked.get("namespace", "")), injection))

    routes = [
        Route(f"/debug/{page.__name__}", page)
        for page in (syncz, config_dump, registryz, endpointz)
    ]
    return Starlette(routes=[*routes, Route("/debug/inject", injected, methods=["POST"])])
