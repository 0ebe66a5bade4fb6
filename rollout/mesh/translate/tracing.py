"""Spans: which requests get some, what they carry, and who takes them. Names and tags as Istio's.

A span's name is its route's, `host:port/path*`: routes say it only where the mesh has somebody who takes spans.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from typing import Any, assert_never

from envoy.config.core.v3 import grpc_service_pb2, http_service_pb2, http_uri_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2, zipkin_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.service import Workload
from rollout.mesh.model.telemetry import (
    Collector,
    OtlpCollector,
    Reporting,
    SpanTag,
    TagSource,
    Tracing,
    ZipkinCollector,
)
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import pack
from rollout.mesh.translate.timeouts import duration

_ALL = percent_pb2.Percent(value=100)
_MESH_ID = "cluster.local"
_CLUSTER_ID = "Kubernetes"


def collected_by(collector: Collector) -> str:
    """The cluster that leads to a collector."""
    return names.outbound(collector.host, collector.port)


def reachable(reporting: Reporting, clusters: Container[str]) -> Reporting:
    """Without spans where the proxy has no cluster for them: it would refuse the listener."""
    tracing = reporting.tracing
    if tracing is None or collected_by(tracing.collector) in clusters:
        return reporting
    return replace(reporting, tracing=None)


def apply_tracing(manager: Any, tracing: Tracing | None, workload: Workload) -> None:
    """Lets a connection manager trace."""
    if tracing is None:
        return
    tags = [*(_istio_tags(workload) if tracing.istio_tags else ()), *tracing.tags]
    distinct = {tag.name: tag for tag in tags}
    manager.tracing.CopyFrom(
        hcm.HttpConnectionManager.Tracing(
            client_sampling=_ALL,
            random_sampling=percent_pb2.Percent(value=tracing.sampling),
            overall_sampling=_ALL,
            max_path_tag_length=wrappers_pb2.UInt32Value(value=tracing.collector.path_tag),
            custom_tags=[_tag(distinct[name]) for name in sorted(distinct)],
            provider=_provider(tracing.collector, workload),
        )
    )


def _istio_tags(workload: Workload) -> Iterable[SpanTag]:
    values = {
        "istio.canonical_service": workload.canonical,
        "istio.canonical_revision": workload.revision,
        "istio.namespace": workload.namespace,
        "istio.mesh_id": _MESH_ID,
        "istio.cluster_id": _CLUSTER_ID,
    }
    for name, value in values.items():
        yield SpanTag(name=name, source=TagSource.LITERAL, value=value)


def _tag(tag: SpanTag) -> Any:
    kind = custom_tag_pb2.CustomTag
    match tag.source:
        case TagSource.LITERAL:
            return kind(tag=tag.name, literal=kind.Literal(value=tag.value))
        case TagSource.ENVIRONMENT:
            variable = kind.Environment(name=tag.value, default_value=tag.default)
            return kind(tag=tag.name, environment=variable)
        case TagSource.HEADER:
            header = kind.Header(name=tag.value, default_value=tag.default)
            return kind(tag=tag.name, request_header=header)
        case TagSource.FORMATTER:
            return kind(tag=tag.name, value=tag.value)
        case _ as never:
            assert_never(never)


def _provider(collector: Collector, workload: Workload) -> Any:
    match collector:
        case ZipkinCollector():
            return _tracer("envoy.tracers.zipkin", _zipkin(collector))
        case OtlpCollector():
            return _tracer("envoy.tracers.opentelemetry", _otlp(collector, workload))
        case _ as never:
            assert_never(never)


def _tracer(name: str, config: Any) -> Any:
    return http_tracer_pb2.Tracing.Http(name=name, typed_config=pack(config))


def _zipkin(collector: ZipkinCollector) -> Any:
    context = zipkin_pb2.ZipkinConfig.TraceContextOption
    return zipkin_pb2.ZipkinConfig(
        collector_cluster=collected_by(collector),
        collector_endpoint=collector.path,
        collector_endpoint_version=zipkin_pb2.ZipkinConfig.HTTP_JSON,
        collector_hostname=f"{collector.host}:{collector.port}",
        trace_id_128bit=not collector.short_ids,
        shared_span_context=wrappers_pb2.BoolValue(value=False),
        trace_context_option=context.USE_B3_WITH_W3C_PROPAGATION
        if collector.w3c
        else context.USE_B3,
    )


def _otlp(collector: OtlpCollector, workload: Workload) -> Any:
    app = workload.app if workload.app != "unknown" else workload.name
    found = opentelemetry_pb2.OpenTelemetryConfig(service_name=f"{app}.{workload.namespace}")
    cluster, timeout = collected_by(collector), duration(collector.timeout)
    if collector.path:
        uri = f"http://{collector.host}:{collector.port}{collector.path}"
        target = http_uri_pb2.HttpUri(uri=uri, cluster=cluster, timeout=timeout)
        found.http_service.CopyFrom(http_service_pb2.HttpService(http_uri=target))
    else:
        envoy = grpc_service_pb2.GrpcService.EnvoyGrpc(
            cluster_name=cluster, authority=collector.host
        )
        found.grpc_service.CopyFrom(grpc_service_pb2.GrpcService(envoy_grpc=envoy, timeout=timeout))
    return found


def _operation(route: Any, owner: str, port: int) -> str:
    """A route's name in spans: where it leads and for which paths; its rule's where it leads to several."""
    found = route.match
    match found.WhichOneof("path_specifier"):
        case "prefix":
            path = f"{found.prefix}*"
        case "path":
            path = found.path
        case "safe_regex":
            path = found.safe_regex.regex
        case "path_separated_prefix":
            path = f"{found.path_separated_prefix}/*"
        case _:
            path = "/*"
    parts = route.route.cluster.split("|")
    if len(parts) == 4 and parts[3]:
        return f"{parts[3]}:{parts[1]}{path}"
    return f"{owner}:{port}{path}"


def decorate(route: Any, owner: str, port: int) -> None:
    """Names a route's spans: `owner` is whose rule it is, `port` where it is asked for."""
    if route.WhichOneof("action") == "route":
        route.decorator.operation = _operation(route, owner, port)
