"""What of Istio's mesh configuration is known here: who takes proxies' logs and spans, and which namespaces count.

Given to the control plane at its start, as the chart's `meshConfig`. What it does not know is refused: nobody would be
told otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, ValidationError

from rollout.api.errors import FieldError, InvalidObject
from rollout.api.fields import Count, Name, PercentFraction, Port, Timeout
from rollout.api.istio.logformat import unknown_command
from rollout.api.istio.telemetry import CustomTag
from rollout.api.model import Bool, Model, Problem, Str, StrMap, field_errors, without_nulls
from rollout.api.unknown import unknown_fields

_LOG_FILES = ("", "/dev/stdout", "/dev/stderr")
_OPERATORS = "use a command of Envoy's access logs"


def _log_file(path: str, given: str) -> Iterator[Problem]:
    if given not in _LOG_FILES:
        reason = f"{given!r} cannot be written: proxies' file systems are read-only"
        yield Problem(path, reason, "use /dev/stdout or /dev/stderr")


class LogFormat(Model):
    """How an access log's lines look: a text, or JSON with these keys."""

    text: Str | None = None
    """A line, with Envoy's commands."""
    labels: StrMap | None = None
    """JSON: values with Envoy's commands, by key."""

    def problems(self) -> Iterator[Problem]:
        """Both at once, or commands that Envoy does not have."""
        if self.text and self.labels:
            yield Problem("", "has both text and labels", "keep one of them")
        for path, value in [("text", self.text or ""), *sorted((self.labels or {}).items())]:
            if reason := unknown_command(value):
                yield Problem("text" if path == "text" else f"labels.{path}", reason, _OPERATORS)


class EnvoyFileAccessLog(Model):
    """Access logs on a container's output."""

    path: Name
    """/dev/stdout or /dev/stderr."""
    log_format: LogFormat | None = None
    """How lines look; Istio's text where nothing is said."""
    omit_empty_values: Bool = False
    """Whether what is not there is left out."""

    def problems(self) -> Iterator[Problem]:
        """A path that cannot be written."""
        yield from _log_file("path", self.path)


class ZipkinProvider(Model):
    """A collector of Zipkin's spans."""

    service: Name
    """Its host, or `namespace/host`."""
    port: Port
    """The port of its Service."""
    max_tag_length: Count | None = None
    """The longest path that a tag holds; 256 where nothing is said."""
    enable64bit_trace_id: Bool = False
    """Whether trace ids have 64 bits instead of 128."""
    path: Str = ""
    """Where spans are posted; /api/v2/spans where nothing is said."""
    trace_context_option: Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"] | None = None
    """Which headers carry the trace; B3's where nothing is said."""


class HttpExporter(Model):
    """OTLP over HTTP instead of gRPC."""

    path: Str = "/v1/traces"
    """Where spans are posted."""
    timeout: Timeout | None = None
    """How long that may take; 3s where nothing is said."""


class OpenTelemetryProvider(Model):
    """A collector of OTLP's spans."""

    service: Name
    """Its host, or `namespace/host`."""
    port: Port
    """The port of its Service."""
    max_tag_length: Count | None = None
    """The longest path that a tag holds; 256 where nothing is said."""
    http: HttpExporter | None = None
    """OTLP over HTTP; gRPC where nothing is said."""


class PrometheusProvider(Model):
    """Istio's standard metrics, which are always served."""


class ExtensionProvider(Model):
    """Somebody who takes what proxies tell, by a name that Telemetry refers to."""

    name: Name
    """Its name."""
    envoy_file_access_log: EnvoyFileAccessLog | None = None
    """Access logs on a container's output."""
    zipkin: ZipkinProvider | None = None
    """A collector of Zipkin's spans."""
    opentelemetry: OpenTelemetryProvider | None = None
    """A collector of OTLP's spans."""
    prometheus: PrometheusProvider | None = None
    """Istio's standard metrics."""

    def problems(self) -> Iterator[Problem]:
        """None of them, or several."""
        given = (self.envoy_file_access_log, self.zipkin, self.opentelemetry, self.prometheus)
        if sum(each is not None for each in given) != 1:
            known = "envoyFileAccessLog, zipkin, opentelemetry and prometheus"
            yield Problem("", "needs exactly one kind", f"name one of {known}")


class DefaultProviders(Model):
    """Who is told where no Telemetry says anything."""

    tracing: tuple[Str, ...] = ()
    """Who takes spans: one of them."""
    access_logging: tuple[Str, ...] = ()
    """Who takes access logs."""
    metrics: tuple[Str, ...] = ()
    """Only `prometheus` is known."""

    def problems(self) -> Iterator[Problem]:
        """Several for spans."""
        if len(self.tracing) > 1:
            yield Problem("tracing", "spans go to one provider", "name one")


class ZipkinAddress(Model):
    """A collector of Zipkin's spans, by address."""

    address: Name
    """`service.namespace:port`."""

    def problems(self) -> Iterator[Problem]:
        """What has no port."""
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            yield Problem(
                "address", f"{self.address!r} has no port", "write service.namespace:port"
            )


class TracingConfig(Model):
    """How proxies trace where no Telemetry says anything."""

    sampling: PercentFraction | None = None
    """How many of the requests that nobody has decided on are traced, in percent; 1 where nothing is said."""
    zipkin: ZipkinAddress | None = None
    """Where spans are sent if `enableTracing` says so and there is no default provider."""
    custom_tags: Mapping[Str, CustomTag] | None = None
    """More tags of each span, by name."""
    max_path_tag_length: Count | None = None
    """The longest path that a tag holds."""


class ProxyConfig(Model):
    """What holds for every proxy."""

    tracing: TracingConfig = Field(default_factory=TracingConfig)
    """How proxies trace."""


class LabelSelectorRequirement(Model):
    """A condition on a label."""

    key: Name
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """What has to hold of it."""
    values: tuple[Str, ...] = ()
    """The values that In and NotIn are about."""

    def problems(self) -> Iterator[Problem]:
        """Values that are missing, or that the operator has no use for."""
        if (self.operator in {"In", "NotIn"}) != bool(self.values):
            need = "needs values" if not self.values else "takes no values"
            yield Problem("values", f"{self.operator} {need}", "correct one of them")


class LabelSelector(Model):
    """Labels that an object has."""

    match_labels: StrMap = Field(default_factory=dict)
    """All of these."""
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    """And all of these conditions."""


class MeshConfig(Model):
    """The mesh's configuration."""

    access_log_file: Str = ""
    """/dev/stdout turns access logs on."""
    access_log_encoding: Literal["TEXT", "JSON"] = "TEXT"
    """How lines look."""
    access_log_format: Str = ""
    """With TEXT a line with Envoy's commands, with JSON an object whose values have them; Istio's where empty."""
    enable_tracing: Bool = False
    """Whether proxies trace to `defaultConfig.tracing.zipkin`."""
    default_config: ProxyConfig = Field(default_factory=ProxyConfig)
    """What holds for every proxy."""
    extension_providers: tuple[ExtensionProvider, ...] = ()
    """Who takes what proxies tell."""
    default_providers: DefaultProviders = Field(default_factory=DefaultProviders)
    """Who is told where no Telemetry says anything."""
    discovery_selectors: tuple[LabelSelector, ...] = ()
    """Namespaces that the mesh looks at: those that any of these selects; all where there is none."""

    def problems(self) -> Iterator[Problem]:
        """Names that are not there or twice, and formats that proxies would not take."""
        yield from _log_file("accessLogFile", self.access_log_file)
        yield from self._format_problems()
        named = [each.name for each in self.extension_providers]
        for index, name in enumerate(named):
            if name in named[:index]:
                reason = f"{name!r} is there twice"
                yield Problem(f"extensionProviders[{index}].name", reason, "give each its own")
        given = self.default_providers
        for path, names, own in (
            ("tracing", given.tracing, ()),
            ("accessLogging", given.access_logging, ("envoy",)),
            ("metrics", given.metrics, ("prometheus",)),
        ):
            for index, name in enumerate(names):
                if name not in {*named, *own}:
                    reason = f"no extension provider is called {name!r}"
                    yield Problem(f"defaultProviders.{path}[{index}]", reason, "declare it")

    def _format_problems(self) -> Iterator[Problem]:
        text = self.access_log_format
        if text and self.access_log_encoding == "JSON":
            try:
                values = [str(value) for value in self.log_labels().values()]
            except ValueError:
                yield Problem("accessLogFormat", "is no JSON object of texts", "write one")
                return
            text = " ".join(values)
        if reason := unknown_command(text):
            yield Problem("accessLogFormat", reason, _OPERATORS)

    def log_labels(self) -> dict[str, str]:
        """The format as JSON's keys and values; ValueError where it is no object of texts."""
        found = json.loads(self.access_log_format)
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ValueError("not an object of texts")
        return found

    @classmethod
    def read(cls, text: str) -> MeshConfig:
        """From JSON, as the chart gives it. InvalidObject with every problem at once."""
        errors: list[FieldError] = []
        parsed = cls()
        try:
            data = without_nulls(json.loads(text or "{}"))
            if not isinstance(data, dict):
                raise ValueError("not an object")
            errors += unknown_fields(cls, data)
            parsed = cls.model_validate(data)
        except ValidationError as error:
            errors += field_errors(error)
        except ValueError as error:
            errors.append(FieldError("", f"is no JSON object: {error}", "write a map"))
        if errors:
            raise InvalidObject("MeshConfig", "", "meshConfig", tuple(dict.fromkeys(errors)))
        return parsed
