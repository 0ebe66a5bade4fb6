"""What proxies tell of requests: access logs, spans and metrics; what Telemetries say of it, without their spelling.

What holds for a workload is put together from the mesh's, its namespace's and its own, as in Istio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from rollout.mesh.model.problem import Ref
from rollout.mesh.model.selected import Labels, Selected
from rollout.mesh.model.service import Workload

SAMPLING = 1.0
"""Percent of the requests that nobody has decided on, where nothing is said."""
PATH_TAG = 256
"""The longest path that a span's tag holds, in bytes."""
ENVOY_LOG = "envoy"
"""The provider of access logs that is always there."""


class Mode(Enum):
    """Which side tells: the one that sends, or the one that takes."""

    CLIENT = "CLIENT"
    SERVER = "SERVER"


class Metric(Enum):
    """Istio's standard metrics, by the names that overrides use."""

    REQUEST_COUNT = "istio_requests_total"
    REQUEST_DURATION = "istio_request_duration_milliseconds"
    REQUEST_SIZE = "istio_request_bytes"
    RESPONSE_SIZE = "istio_response_bytes"
    TCP_OPENED_CONNECTIONS = "istio_tcp_connections_opened_total"
    TCP_CLOSED_CONNECTIONS = "istio_tcp_connections_closed_total"
    TCP_SENT_BYTES = "istio_tcp_sent_bytes_total"
    TCP_RECEIVED_BYTES = "istio_tcp_received_bytes_total"


class TagSource(Enum):
    """Where the value of a span's tag comes from."""

    LITERAL = "literal"
    ENVIRONMENT = "environment"
    HEADER = "header"
    FORMATTER = "formatter"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanTag:
    """A tag of each span; `value` is a text, a name or Envoy's commands, as its source is."""

    name: str
    source: TagSource
    value: str
    default: str = ""


class LogOutput(Enum):
    """A container's outputs."""

    STDOUT = "/dev/stdout"
    STDERR = "/dev/stderr"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSink:
    """Takes lines: a text with Envoy's commands, or JSON of `labels` (keys and values)."""

    output: LogOutput = LogOutput.STDOUT
    text: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    omit_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipkinCollector:
    """Takes spans by Zipkin's API v2 over HTTP; headers are B3's, with `w3c` those of W3C too."""

    host: str
    port: int
    path: str
    path_tag: int = PATH_TAG
    short_ids: bool = False
    w3c: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpCollector:
    """Takes spans by OTLP, over gRPC or (with a path) over HTTP; headers are W3C's. The time-out is in seconds."""

    host: str
    port: int
    path: str = ""
    path_tag: int = PATH_TAG
    timeout: float = 3.0


Collector = ZipkinCollector | OtlpCollector


@dataclass(frozen=True, slots=True)
class AccessLog:
    """A log, and the CEL expression that chooses its requests (empty: all)."""

    sink: LogSink
    expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Where spans go, how many requests of a hundred get some, and what they carry besides Envoy's own tags."""

    collector: Collector
    sampling: float
    tags: tuple[SpanTag, ...] = ()
    istio_tags: bool = True


@dataclass(frozen=True, slots=True)
class MetricChange:
    """What differs of a metric: labels set to CEL expressions, or (None) taken away."""

    disabled: bool = False
    labels: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """All that a proxy tells in one mode. Without changes metrics are Istio's."""

    logs: tuple[AccessLog, ...] = ()
    tracing: Tracing | None = None
    metrics: tuple[tuple[Metric, MetricChange], ...] = ()

    def change(self, metric: Metric) -> MetricChange:
        """What differs of one."""
        return next((each for name, each in self.metrics if name is metric), MetricChange())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Whose proxy it is that tells, and what it tells of what is sent and of what is taken."""

    workload: Workload
    client: Reporting = Reporting()
    server: Reporting = Reporting()

    def of(self, mode: Mode) -> Reporting:
        """What it tells in a mode."""
        return self.client if mode is Mode.CLIENT else self.server


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshTelemetry:
    """What holds where no Telemetry says anything, and all who can be told, by name."""

    sinks: Mapping[str, LogSink] = field(default_factory=lambda: {ENVOY_LOG: LogSink()})
    collectors: Mapping[str, Collector] = field(default_factory=dict)
    logs: tuple[str, ...] = ()
    tracing: str = ""
    sampling: float = SAMPLING
    tags: tuple[SpanTag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingRule:
    """Providers (none: those of the wider scope) that log what the expression chooses, or no longer do."""

    modes: frozenset[Mode]
    providers: tuple[str, ...] = ()
    disabled: bool = False
    expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingRule:
    """What is said of spans; None, and an empty provider, where nothing is."""

    modes: frozenset[Mode]
    provider: str = ""
    disabled: bool | None = None
    sampling: float | None = None
    tags: tuple[SpanTag, ...] | None = None
    istio_tags: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsRule:
    """What becomes of some metrics."""

    modes: frozenset[Mode]
    metrics: tuple[Metric, ...]
    disabled: bool | None = None
    labels: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryPolicy:
    """A Telemetry; without a selector it holds for its namespace, in the root namespace for the mesh."""

    ref: Ref
    created: str
    selector: Labels = frozenset()
    logging: tuple[LoggingRule, ...] = ()
    tracing: tuple[TracingRule, ...] = ()
    metrics: tuple[MetricsRule, ...] = ()

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first, which is in force."""
        return (self.created, self.ref.namespace, self.ref.name)


class Telemetries(Selected[TelemetryPolicy]):
    """All Telemetries, over what holds without them."""

    def __init__(self, root_namespace: str, mesh: MeshTelemetry | None = None) -> None:
        super().__init__(root_namespace)
        self.mesh = mesh or MeshTelemetry()

    def levels(self, namespace: str, labels: Labels) -> list[TelemetryPolicy]:
        """Those in force for a workload, the widest first."""
        found = (
            self.of_mesh(),
            self.of_namespace(namespace),
            self.of_labels(namespace, labels),
        )
        return list(dict.fromkeys(each for each in found if each is not None))

    def reporting(self, namespace: str, labels: Labels, mode: Mode) -> Reporting:
        """What the proxies of a workload tell in a mode."""
        levels = self.levels(namespace, labels)
        return Reporting(
            logs=self._logs(levels, mode),
            tracing=self._tracing(levels, mode),
            metrics=_metrics(levels, mode),
        )

    def _logs(self, levels: Iterable[TelemetryPolicy], mode: Mode) -> tuple[AccessLog, ...]:
        inherited = in_scope = self.mesh.logs
        chosen = dict.fromkeys(inherited, "")
        for level in levels:
            rules = [rule for rule in level.logging if mode in rule.modes]
            named: list[str] = []
            for rule in rules:
                providers = rule.providers or inherited
                named += providers
                for name in providers:
                    if rule.disabled:
                        chosen.pop(name, None)
                    else:
                        chosen[name] = rule.expression
            # The narrowest scope that names any takes the place of the others.
            in_scope = tuple(n for rule in rules for n in rule.providers) or in_scope
            inherited = tuple(dict.fromkeys(named)) or inherited
        known = self.mesh.sinks
        return tuple(
            AccessLog(known[name], expression)
            for name, expression in sorted(chosen.items())
            if name in in_scope and name in known
        )

    def _tracing(self, levels: Iterable[TelemetryPolicy], mode: Mode) -> Tracing | None:
        mesh = self.mesh
        provider, sampling, tags = mesh.tracing, mesh.sampling, mesh.tags
        disabled, istio_tags = False, True
        for rule in (r for level in levels for r in level.tracing if mode in r.modes):
            provider = rule.provider or provider
            sampling = sampling if rule.sampling is None else rule.sampling
            tags = tags if rule.tags is None else rule.tags
            disabled = disabled if rule.disabled is None else rule.disabled
            istio_tags = istio_tags if rule.istio_tags is None else rule.istio_tags
        collector = mesh.collectors.get(provider)
        if collector is None or disabled:
            return None
        return Tracing(collector=collector, sampling=sampling, tags=tags, istio_tags=istio_tags)


def _metrics(
    levels: Iterable[TelemetryPolicy], mode: Mode
) -> tuple[tuple[Metric, MetricChange], ...]:
    disabled: dict[Metric, bool] = {}
    labels: dict[Metric, dict[str, str | None]] = {}
    for rule in (r for level in levels for r in level.metrics if mode in r.modes):
        for metric in rule.metrics:
            if rule.disabled is not None:
                disabled[metric] = rule.disabled
            labels.setdefault(metric, {}).update(rule.labels)
    changes = {
        metric: MetricChange(
            disabled.get(metric, False), tuple(sorted(labels.get(metric, {}).items()))
        )
        for metric in Metric
    }
    return tuple((metric, each) for metric, each in changes.items() if each != MetricChange())
