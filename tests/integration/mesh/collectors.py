"""Collectors of spans, as small as they get: OTLP over gRPC, and Zipkin's API v2. What they were sent is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from aiohttp import web
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass(frozen=True, slots=True)
class Span:
    """`kind` is `CLIENT` or `SERVER`; `parent` is empty for the first of a trace."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    tags: dict[str, str]


@dataclass(slots=True)
class Collector:
    port: int = 0
    spans: list[Span] = field(default_factory=list)

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]

    async def export(self, data: bytes, _context: Any) -> bytes:
        for resource in service.ExportTraceServiceRequest.FromString(data).resource_spans:
            about = _tags(resource.resource.attributes)
            # As `scope_spans` was called when these classes were made.
            for scope in resource.instrumentation_library_spans:
                self.spans += [_of_otlp(span, about["service.name"]) for span in scope.spans]
        answer: bytes = service.ExportTraceServiceResponse().SerializeToString()
        return answer

    async def post(self, request: web.Request) -> web.Response:
        self.spans += [_of_zipkin(span) for span in await request.json()]
        return web.Response(status=202)


def _tags(attributes: Any) -> dict[str, str]:
    found = {}
    for each in attributes:
        kind = each.value.WhichOneof("value")
        found[each.key] = str(getattr(each.value, kind)) if kind else ""
    return found


def _of_otlp(span: Any, about: str) -> Span:
    return Span(
        service=about,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        tags=_tags(span.attributes),
    )


def _of_zipkin(span: dict[str, Any]) -> Span:
    return Span(
        service=span["localEndpoint"]["serviceName"],
        name=span["name"],
        kind=span.get("kind", ""),
        trace=span["traceId"],
        id=span["id"],
        parent=span.get("parentId", ""),
        tags=span.get("tags", {}),
    )


@asynccontextmanager
async def otlp() -> AsyncIterator[Collector]:
    found = Collector()
    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(found.export)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {"Export": method}),)
    )
    found.port = server.add_insecure_port("0.0.0.0:0")
    await server.start()
    try:
        yield found
    finally:
        await server.stop(None)


@asynccontextmanager
async def zipkin() -> AsyncIterator[Collector]:
    found = Collector()
    app = web.Application()
    app.router.add_post("/api/v2/spans", found.post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    try:
        yield found
    finally:
        await runner.cleanup()
