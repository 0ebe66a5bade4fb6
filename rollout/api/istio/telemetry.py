"""Telemetry: which requests are logged, traced and counted, and how (`telemetry.istio.io`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.cel import fault_in
from rollout.api.fields import Name, PercentFraction
from rollout.api.istio.logformat import unknown_command
from rollout.api.istio.peerauthentication import WorkloadSelector
from rollout.api.model import Bool, Model, Problem, Resource, Str

Mode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
METRICS = (
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
)
_EXPRESSION = "write a CEL expression over Envoy's attributes, such as response.code >= 400"


class ProviderRef(Model):
    """One of the mesh's extension providers."""

    name: Name
    """Its name; `envoy` and `prometheus` are always there."""


class ModeMatch(Model):
    """Which side's proxies."""

    mode: Mode | None = None
    """CLIENT (what a workload sends), SERVER (what it takes), or both."""


class LogFilter(Model):
    """Which requests are logged."""

    expression: Name
    """A CEL expression over Envoy's attributes; true logs."""

    def problems(self) -> Iterator[Problem]:
        """What is no expression that a proxy could evaluate."""
        if reason := fault_in(self.expression):
            yield Problem("expression", reason, _EXPRESSION)


class AccessLogging(Model):
    """Access logs."""

    match: ModeMatch | None = None
    """Which side's; both where nothing is said."""
    providers: tuple[ProviderRef, ...] = ()
    """Where they are written; those that hold for the wider scope where nothing is said."""
    disabled: Bool | None = None
    """Whether they are not written."""
    filter: LogFilter | None = None
    """Which requests; all where nothing is said."""


class LiteralTag(Model):
    """A text."""

    value: Name
    """The text."""


class NamedTag(Model):
    """The value of a header, or of a variable of the proxy's environment."""

    name: Name
    """Its name."""
    default_value: Str = ""
    """What to say where there is none."""


class FormatterTag(Model):
    """What Envoy's commands say."""

    value: Name
    """A text with commands, as in access logs: %REQ(X-REQUEST-ID)%."""

    def problems(self) -> Iterator[Problem]:
        """Commands that Envoy does not have."""
        if reason := unknown_command(self.value):
            yield Problem("value", reason, "use a command of Envoy's access logs")


class CustomTag(Model):
    """A tag of each span, from one source."""

    literal: LiteralTag | None = None
    """A text."""
    environment: NamedTag | None = None
    """A variable of the proxy's environment."""
    header: NamedTag | None = None
    """A header of the request."""
    formatter: FormatterTag | None = None
    """Envoy's commands."""

    def problems(self) -> Iterator[Problem]:
        """None of them, or several."""
        given = [self.literal, self.environment, self.header, self.formatter]
        if sum(each is not None for each in given) != 1:
            one = "name one of literal, environment, header and formatter"
            yield Problem("", "needs exactly one source", one)


class Tracing(Model):
    """Spans."""

    match: ModeMatch | None = None
    """Which side's; both where nothing is said."""
    providers: tuple[ProviderRef, ...] = ()
    """Where spans are sent; the mesh's default where nothing is said."""
    random_sampling_percentage: PercentFraction | None = None
    """How many of the requests that nobody has decided on are traced."""
    disable_span_reporting: Bool | None = None
    """Whether spans are not reported; the headers of others are passed on."""
    custom_tags: Mapping[Str, CustomTag] | None = None
    """More tags of each span, by name."""
    enable_istio_tags: Bool | None = None
    """Whether spans carry Istio's own tags (istio.canonical_service and the like), as they do by default."""

    def problems(self) -> Iterator[Problem]:
        """Several providers."""
        if len(self.providers) > 1:
            yield Problem("providers", "spans go to one provider", "name one")


class MetricSelector(Model):
    """Which metrics."""

    metric: Literal["ALL_METRICS", *METRICS] | None = None  # type: ignore[valid-type]
    """One of Istio's standard metrics, or ALL_METRICS."""
    custom_metric: Str | None = None
    """A metric of another name, which there is none of."""
    mode: Mode | None = None
    """CLIENT (reporter source), SERVER (reporter destination), or both."""

    def problems(self) -> Iterator[Problem]:
        """What does not exist."""
        if self.custom_metric:
            known = f"use metric: one of {', '.join(METRICS)}"
            yield Problem("customMetric", f"{self.custom_metric!r} is not a standard metric", known)


class TagOverride(Model):
    """What becomes of a label."""

    operation: Literal["UPSERT", "REMOVE"] | None = None
    """UPSERT (the default) or REMOVE."""
    value: Str = ""
    """With UPSERT: a CEL expression over Envoy's attributes."""

    def problems(self) -> Iterator[Problem]:
        """A value where none belongs, none where one does, or one that no proxy could evaluate."""
        if self.operation == "REMOVE":
            if self.value:
                yield Problem("value", "is set although the label is removed", "remove it")
            return
        if not self.value:
            yield Problem("value", "is required to set a label", _EXPRESSION)
        elif reason := fault_in(self.value, formatted=True):
            yield Problem("value", reason, _EXPRESSION)


class MetricsOverride(Model):
    """What becomes of some metrics."""

    match: MetricSelector | None = None
    """Which; all of both sides where nothing is said."""
    disabled: Bool | None = None
    """Whether they are not counted."""
    tag_overrides: Mapping[Str, TagOverride] = Field(default_factory=dict)
    """What becomes of their labels, by name."""

    def problems(self) -> Iterator[Problem]:
        """Names that Prometheus would not take."""
        for name in self.tag_overrides:
            if not (name.isascii() and name.isidentifier()):
                reason = f"{name!r} is not a label's name"
                yield Problem("tagOverrides", reason, "use letters, digits and underscores")


class Metrics(Model):
    """Istio's standard metrics."""

    providers: tuple[ProviderRef, ...] = ()
    """Only `prometheus` is known."""
    overrides: tuple[MetricsOverride, ...] = ()
    """What differs from the default, later ones over earlier ones."""


class TelemetrySpec(Model):
    """What the selected workloads tell."""

    selector: WorkloadSelector | None = None
    """The workloads; without it all of the namespace, or of the mesh in its root namespace."""
    access_logging: tuple[AccessLogging, ...] = ()
    """Access logs."""
    tracing: tuple[Tracing, ...] = ()
    """Spans."""
    metrics: tuple[Metrics, ...] = ()
    """Metrics."""
    target_ref: Mapping[Str, Str] | None = None
    """Refused: without it this would be for more workloads than was meant."""
    target_refs: tuple[Mapping[Str, Str], ...] = ()
    """Refused, too."""

    def problems(self) -> Iterator[Problem]:
        """Other ways than labels to say for whom it is."""
        for path, given in (("targetRef", self.target_ref), ("targetRefs", self.target_refs)):
            if given:
                yield Problem(path, "is not known here", "use selector.matchLabels")


class Telemetry(Resource):
    """Which requests are logged, traced and counted, and how."""

    KIND = kinds.TELEMETRY
    SERVED_VERSIONS: ClassVar = ("v1", "v1alpha1")
    REFUSES_UNKNOWN = False

    spec: TelemetrySpec
    """What the user wants."""
