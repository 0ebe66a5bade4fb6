"""Telemetries and the mesh's own configuration to what proxies tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from rollout.api.istio.meshconfig import (
    EnvoyFileAccessLog,
    ExtensionProvider,
    MeshConfig,
    OpenTelemetryProvider,
    ZipkinProvider,
)
from rollout.api.istio.telemetry import (
    AccessLogging,
    CustomTag,
    MetricsOverride,
    ModeMatch,
    Telemetry,
    TelemetrySpec,
    Tracing,
)
from rollout.mesh.ingest.logformats import ISTIO_LABELS, ISTIO_TEXT
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import DOMAIN
from rollout.mesh.model.telemetry import (
    ENVOY_LOG,
    PATH_TAG,
    SAMPLING,
    Collector,
    LoggingRule,
    LogOutput,
    LogSink,
    MeshTelemetry,
    Metric,
    MetricsRule,
    Mode,
    OtlpCollector,
    SpanTag,
    TagSource,
    TelemetryPolicy,
    TracingRule,
    ZipkinCollector,
)

_REMEDY = "remove it, or wait for a version that acts upon it"
_BOTH = frozenset(Mode)
_ZIPKIN = "zipkin of defaultConfig.tracing"
_SPANS = "/api/v2/spans"
_PROMETHEUS = "prometheus"


def telemetry_policy(parsed: Telemetry) -> tuple[TelemetryPolicy, list[Problem]]:
    """The policy, and what of the object is not acted upon."""
    ref = Ref("Telemetry", parsed.namespace, parsed.name)
    spec = parsed.spec
    labels = spec.selector.match_labels if spec.selector else {}
    problems = [Problem(ref, f.path, f.reason, f.remedy or _REMEDY) for f in parsed.unknown_fields]
    overrides = [override for each in spec.metrics for override in each.overrides]
    policy = TelemetryPolicy(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        selector=frozenset(labels.items()),
        logging=tuple(map(_logging, spec.access_logging)),
        tracing=tuple(map(_tracing, spec.tracing)),
        metrics=tuple(map(_override, overrides)),
    )
    return policy, problems + list(_uncounted(ref, spec))


def _logging(given: AccessLogging) -> LoggingRule:
    return LoggingRule(
        modes=_modes(given.match),
        providers=tuple(each.name for each in given.providers),
        disabled=bool(given.disabled),
        expression=given.filter.expression if given.filter else "",
    )


def _tracing(given: Tracing) -> TracingRule:
    return TracingRule(
        modes=_modes(given.match),
        provider=given.providers[0].name if given.providers else "",
        disabled=given.disable_span_reporting,
        sampling=given.random_sampling_percentage,
        tags=None if given.custom_tags is None else _tags(given.custom_tags),
        istio_tags=given.enable_istio_tags,
    )


def _override(given: MetricsOverride) -> MetricsRule:
    match = given.match
    name = (match.metric if match else None) or "ALL_METRICS"
    chosen = tuple(each for each in Metric if name in {"ALL_METRICS", each.name})
    return MetricsRule(
        modes=_modes(match),
        metrics=chosen,
        disabled=given.disabled,
        labels=tuple(
            (label, None if each.operation == "REMOVE" else each.value)
            for label, each in sorted(given.tag_overrides.items())
        ),
    )


def _uncounted(ref: Ref, spec: TelemetrySpec) -> Iterator[Problem]:
    """Istio's metrics that there are none of here."""
    for at, each in enumerate(spec.metrics):
        for index, provider in enumerate(each.providers):
            if provider.name != _PROMETHEUS:
                path = f"spec.metrics[{at}].providers[{index}].name"
                reason = f"{provider.name!r} gets no metrics: they are there for Prometheus alone"
                yield Problem(ref, path, reason, f"use {_PROMETHEUS}")
        for index, override in enumerate(each.overrides):
            name = override.match.metric if override.match else None
            if name not in {None, "ALL_METRICS", *(metric.name for metric in Metric)}:
                path = f"spec.metrics[{at}].overrides[{index}].match.metric"
                yield Problem(ref, path, f"{name} is not counted here", "remove it")


def _modes(match: ModeMatch | object | None) -> frozenset[Mode]:
    mode = getattr(match, "mode", None)
    return _BOTH if mode in {None, "CLIENT_AND_SERVER"} else frozenset({Mode(mode)})


def _tags(given: Mapping[str, CustomTag]) -> tuple[SpanTag, ...]:
    return tuple(_tag(name, given[name]) for name in sorted(given))


def _tag(name: str, given: CustomTag) -> SpanTag:
    if given.literal is not None:
        return SpanTag(name=name, source=TagSource.LITERAL, value=given.literal.value)
    if given.formatter is not None:
        return SpanTag(name=name, source=TagSource.FORMATTER, value=given.formatter.value)
    source = TagSource.HEADER if given.header is not None else TagSource.ENVIRONMENT
    found = given.header or given.environment
    assert found is not None  # noqa: S101 - a tag has exactly one source
    return SpanTag(name=name, source=source, value=found.name, default=found.default_value)


def mesh_telemetry(given: MeshConfig) -> MeshTelemetry:
    """What the mesh's configuration says of logs, spans and metrics."""
    sinks = {ENVOY_LOG: _mesh_log(given)}
    collectors: dict[str, Collector] = {}
    for provider in given.extension_providers:
        if provider.envoy_file_access_log is not None:
            sinks[provider.name] = _sink(provider.envoy_file_access_log)
        elif (collector := _collector(provider)) is not None:
            collectors[provider.name] = collector
    tracing = given.default_config.tracing
    default = next(iter(given.default_providers.tracing), "")
    if not default and given.enable_tracing and tracing.zipkin is not None:
        host, _, port = tracing.zipkin.address.rpartition(":")
        path_tag = tracing.max_path_tag_length
        collectors[_ZIPKIN] = ZipkinCollector(
            host=_host(host), port=int(port), path=_SPANS, path_tag=_or(path_tag, PATH_TAG)
        )
        default = _ZIPKIN
    logs = given.default_providers.access_logging or ((ENVOY_LOG,) if given.access_log_file else ())
    return MeshTelemetry(
        sinks=sinks,
        collectors=collectors,
        logs=logs,
        tracing=default,
        sampling=SAMPLING if tracing.sampling is None else tracing.sampling,
        tags=_tags(tracing.custom_tags or {}),
    )


def _mesh_log(given: MeshConfig) -> LogSink:
    output = LogOutput(given.access_log_file or LogOutput.STDOUT.value)
    if given.access_log_encoding == "JSON":
        labels = given.log_labels() if given.access_log_format else ISTIO_LABELS
        return LogSink(output=output, labels=tuple(sorted(labels.items())))
    return LogSink(output=output, text=_line(given.access_log_format or ISTIO_TEXT))


def _sink(given: EnvoyFileAccessLog) -> LogSink:
    form, output = given.log_format, LogOutput(given.path)
    if form is not None and form.labels is not None:
        labels = tuple(sorted((form.labels or ISTIO_LABELS).items()))
        return LogSink(output=output, labels=labels, omit_empty=given.omit_empty_values)
    text = _line((form.text if form else None) or ISTIO_TEXT)
    return LogSink(output=output, text=text, omit_empty=given.omit_empty_values)


def _line(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _collector(given: ExtensionProvider) -> Collector | None:
    match given.zipkin or given.opentelemetry:
        case None:
            return None
        case ZipkinProvider() as zipkin:
            return ZipkinCollector(
                host=_host(zipkin.service),
                port=zipkin.port,
                path=zipkin.path or _SPANS,
                path_tag=_or(zipkin.max_tag_length, PATH_TAG),
                short_ids=zipkin.enable64bit_trace_id,
                w3c=zipkin.trace_context_option == "USE_B3_WITH_W3C_PROPAGATION",
            )
        case OpenTelemetryProvider() as otlp:
            timeout = otlp.http.timeout if otlp.http else None
            return OtlpCollector(
                host=_host(otlp.service),
                port=otlp.port,
                path=otlp.http.path if otlp.http else "",
                path_tag=_or(otlp.max_tag_length, PATH_TAG),
                timeout=timeout.total_seconds() if timeout else 3.0,
            )
        case _ as never:
            assert_never(never)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _host(service: str) -> str:
    """Istio's `namespace/host`; `name.namespace` is a Service's."""
    host = service.rpartition("/")[2]
    parts = host.split(".")
    if len(parts) == 2 or (len(parts) == 3 and parts[2] == "svc"):
        return f"{parts[0]}.{parts[1]}.svc.{DOMAIN}"
    return host


def untold(registry: Registry) -> dict[Ref, tuple[Problem, ...]]:
    """What Telemetries ask for that nobody gives: unknown providers, collectors that are not there, older ones' workloads."""
    found: dict[Ref, list[Problem]] = {}
    for policy, holder in registry.telemetry.shadowed():
        reason = f"has no effect: {holder.ref}, which is older, is for the same workloads"
        problem = Problem(policy.ref, "spec.selector", reason, "merge the two")
        found.setdefault(policy.ref, []).append(problem)
    for policy in registry.telemetry.all():
        for problem in (*_unknown(policy, registry), *_unreached(policy, registry)):
            found.setdefault(policy.ref, []).append(problem)
    return {ref: tuple(problems) for ref, problems in found.items()}


def _unknown(policy: TelemetryPolicy, registry: Registry) -> Iterator[Problem]:
    mesh = registry.telemetry.mesh
    for index, logging in enumerate(policy.logging):
        path = f"spec.accessLogging[{index}].providers"
        for name in logging.providers:
            if name not in mesh.sinks:
                yield _nobody(policy.ref, path, name, mesh.sinks)
        wider = registry.telemetry.levels(policy.ref.namespace, frozenset())
        heard = mesh.logs or any(r.providers for each in (*wider, policy) for r in each.logging)
        if not heard and not logging.disabled:
            reason = "nobody is named, and the mesh has no default provider of access logs"
            yield Problem(policy.ref, path, reason, f"name {ENVOY_LOG}")
    for index, tracing in enumerate(policy.tracing):
        if tracing.provider and tracing.provider not in mesh.collectors:
            path = f"spec.tracing[{index}].providers"
            yield _nobody(policy.ref, path, tracing.provider, mesh.collectors)


def _nobody(ref: Ref, path: str, name: str, known: Iterable[str]) -> Problem:
    reason = f"no extension provider for this is called {name!r}"
    return Problem(ref, path, reason, f"known are {', '.join(sorted(known)) or 'none'}")


def _unreached(policy: TelemetryPolicy, registry: Registry) -> Iterator[Problem]:
    for index, rule in enumerate(policy.tracing):
        collector = registry.telemetry.mesh.collectors.get(rule.provider)
        if collector is None:
            continue
        if reason := unreachable(collector, registry):
            path = f"spec.tracing[{index}].providers"
            yield Problem(policy.ref, path, reason, "correct the Service or the provider")


def default_unreached(registry: Registry) -> str:
    """Why nobody gets the spans of those who name nobody; empty where somebody does, or is not wanted."""
    mesh = registry.telemetry.mesh
    collector = mesh.collectors.get(mesh.tracing)
    return unreachable(collector, registry) if collector else ""


def unreachable(collector: Collector, registry: Registry) -> str:
    """Why spans cannot be sent to a collector; empty where they can."""
    service = registry.services.get(collector.host)
    port = service.port(collector.port) if service else None
    if service is None:
        return f"the collector's Service {collector.host} does not exist"
    if port is None:
        return f"the collector's Service {collector.host} has no port {collector.port}"
    over_grpc = isinstance(collector, OtlpCollector) and not collector.path
    if over_grpc and not port.protocol.multiplexed:
        name = "name it grpc-otlp, or set its appProtocol to grpc"
        return f"port {collector.port} of {collector.host} does not speak gRPC: {name}"
    return ""
