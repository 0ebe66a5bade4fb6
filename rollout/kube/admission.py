"""The admission webhooks' HTTPS server: AdmissionReview in, a decision out, bounded in size and time.

Knows the envelope of a review; what is allowed is said by the handlers. The certificate comes from `webhook_tls`.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rollout.kube.objects import Object
from rollout.kube.serving import serve
from rollout.kube.webhook_tls import WebhookTLS

BODY_LIMIT = 3 * 1024 * 1024  # old and new object of 1 MiB each, and the envelope
READ_SECONDS = 5.0
HANDLER_SECONDS = 8.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionResponse:
    """A handler's decision. `message` and `code` tell a refusal's reason, `patch` is a JSON patch (RFC 6902)."""

    allowed: bool = True
    message: str = ""
    code: int = 422
    warnings: Sequence[str] = ()
    patch: Sequence[Object] = ()


Handler = Callable[[Object], Awaitable[AdmissionResponse]]
"""Takes the review's `request` (uid, operation, object, oldObject, …); what it raises becomes HTTP 500."""


class AdmissionServer:
    """Serves `routes` (path to handler) with a certificate that keeps itself valid.

    `run` serves until cancelled; it begins to listen once the certificate is there. `ready` tells whether it does.
    """

    def __init__(
        self,
        tls: WebhookTLS,
        routes: Mapping[str, Handler],
        *,
        host: str = "0.0.0.0",  # noqa: S104 - a pod's server
        port: int = 9443,
        sock: socket.socket | None = None,
    ) -> None:
        self._tls = tls
        self._host, self._port, self._sock = host, port, sock
        self._app = Starlette(
            routes=[Route(path, _endpoint(fn), methods=["POST"]) for path, fn in routes.items()]
        )

    @property
    def ready(self) -> bool:
        """Whether there is a certificate to serve with."""
        return self._tls.loaded.is_set()

    async def run(self) -> None:
        """Keep the certificate, and serve, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tls.run())
            group.create_task(self._serve(self._tls.context))

    async def _serve(self, context: ssl.SSLContext) -> None:
        await self._tls.loaded.wait()
        await serve(self._app, self._host, self._port, context, sock=self._sock)


def _endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return PlainTextResponse("the body did not come in time\n", 408)
        except ClientDisconnect:
            return PlainTextResponse("", 400)
        if body is None:
            return PlainTextResponse(f"the body exceeds {BODY_LIMIT} bytes\n", 413)
        try:
            review = msgspec.json.decode(body, type=dict)
            asked: Object = review["request"]
            uid = str(asked["uid"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return PlainTextResponse("not an AdmissionReview with a request\n", 400)
        try:
            async with asyncio.timeout(HANDLER_SECONDS):
                decision = await handler(asked)
        except Exception:  # the webhook's failurePolicy decides what a failure means
            log.exception("admission handler failed", path=request.url.path, uid=uid)
            return PlainTextResponse("the handler failed; its log says why\n", 500)
        return Response(msgspec.json.encode(_review(uid, decision)), media_type="application/json")

    return endpoint


async def _body(request: Request) -> bytes | None:
    """The body, or None where it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _review(uid: str, decision: AdmissionResponse) -> Object:
    response: Object = {"uid": uid, "allowed": decision.allowed}
    if decision.warnings:
        response["warnings"] = list(decision.warnings)
    if not decision.allowed:
        response["status"] = {
            "status": "Failure",
            "message": decision.message,
            "code": decision.code,
        }
    elif decision.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(list(decision.patch))).decode()
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    }
