"""Flagger's load tester API: tasks at `/`, gates at `/gate/*` and `/rollback/*`. Knows HTTP; not how programs are run."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rollout.loadtester.gates import Gates
from rollout.loadtester.runner import BusyError, Runner
from rollout.loadtester.tasks import RefusedError, task_of

log = structlog.get_logger(__name__)

_LARGEST_BODY = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a hook sends."""

    name: str
    namespace: str
    metadata: Mapping[str, str]

    @property
    def canary(self) -> str:
        """The canary as gates and logs name it."""
        return f"{self.name}.{self.namespace}"


class UnreadableError(Exception):
    """A body that is no hook's."""


def load_tester(
    runner: Runner,
    gates: Gates,
    allowed: Mapping[str, str],
    registry: CollectorRegistry,
    namespaces: re.Pattern[str] | None = None,
) -> Starlette:
    """The app. Only canaries of `namespaces` (all where None) are served; `allowed` are programs by name."""
    asked = Counter("rollout_loadtester_tasks", "Tasks by result.", ("result",), registry=registry)
    running = Gauge("rollout_loadtester_running", "Programs that run now.", registry=registry)
    running.set_function(lambda: runner.running)

    async def task(payload: Payload) -> Response:
        response = await _run(payload, runner, allowed)
        asked.labels(str(response.status_code)).inc()
        return response

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    any_method = ["GET", "POST"]
    return Starlette(
        routes=[
            Route("/healthz", _approve),
            Route("/metrics", metrics),
            Route("/gate/approve", _approve, methods=any_method),
            Route("/gate/halt", _halt, methods=any_method),
            _hook("/", task, namespaces),
            *_gate_routes("/gate", "", gates, namespaces),
            *_gate_routes("/rollback", "rollback.", gates, namespaces),
        ]
    )


_Answers = Callable[[Payload], Awaitable[Response]]


def _hook(path: str, answer: _Answers, namespaces: re.Pattern[str] | None) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            payload = await _payload(request)
        except UnreadableError as error:
            return PlainTextResponse(str(error), 400)
        if namespaces is not None and not namespaces.search(payload.namespace):
            return _forbidden()
        return await answer(payload)

    return Route(path, endpoint, methods=["POST"])


def _gate_routes(
    area: str, prefix: str, gates: Gates, namespaces: re.Pattern[str] | None
) -> list[Route]:
    async def check(payload: Payload) -> Response:
        open_ = gates.is_open(prefix + payload.canary)
        log.info("gate checked", gate=prefix + payload.canary, open=open_)
        return PlainTextResponse("Approved") if open_ else _forbidden()

    async def open_gate(payload: Payload) -> Response:
        gates.open(prefix + payload.canary)
        log.info("gate opened", gate=prefix + payload.canary)
        return Response(status_code=202)

    async def close_gate(payload: Payload) -> Response:
        gates.close(prefix + payload.canary)
        log.info("gate closed", gate=prefix + payload.canary)
        return Response(status_code=202)

    verbs = {"check": check, "open": open_gate, "close": close_gate}
    return [_hook(f"{area}/{verb}", answer, namespaces) for verb, answer in verbs.items()]


async def _approve(_: Request) -> Response:
    return PlainTextResponse("OK")


async def _halt(_: Request) -> Response:
    return _forbidden()


async def _run(payload: Payload, runner: Runner, allowed: Mapping[str, str]) -> Response:
    if not payload.metadata:
        return PlainTextResponse("metadata not found in payload", 400)
    try:
        task = task_of(payload.canary, payload.metadata, allowed)
    except RefusedError as error:
        log.warning("task refused", canary=payload.canary, reason=str(error))
        return PlainTextResponse(str(error), 400)
    try:
        if not task.waits:
            runner.start(task)
            return Response(status_code=202)
        ended = await runner.run(task)
    except BusyError as error:
        return PlainTextResponse(str(error), 503)
    if ended.problem:
        return PlainTextResponse(f"{ended.problem} {ended.output}".strip(), 500)
    return PlainTextResponse(ended.output if task.shows else "")


async def _payload(request: Request) -> Payload:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise UnreadableError(f"the body is larger than {_LARGEST_BODY} bytes")
    try:
        data = json.loads(bytes(body))
    except ValueError:
        raise UnreadableError("the body is not JSON") from None
    metadata = data.get("metadata") or {} if isinstance(data, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise UnreadableError("the body is not a hook's payload: metadata must map names to texts")
    name, namespace = str(data.get("name") or ""), str(data.get("namespace") or "")
    return Payload(name=name, namespace=namespace, metadata=metadata)


def _forbidden() -> Response:
    return PlainTextResponse("Forbidden", 403)
