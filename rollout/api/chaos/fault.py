"""What a ChaosExperiment breaks (`spec.fault`).

Delays and aborts carry Istio's names, so that existing YAML pastes in. Knows nothing of how a fault is injected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from rollout.api.fields import Count, IntOrString, PercentFraction, PositiveDuration
from rollout.api.istio.match import StringMatch, valid_header_name
from rollout.api.model import Bool, Int, Model, Problem, Str, refusal
from rollout.api.re2 import regex_fault

GRPC_STATUSES: Final = (
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""The gRPC statuses that say that a call failed, at their numbers from 1."""

REQUEST_FAULTS: Final = ("delay", "abort", "reset", "bandwidth")
"""The parts of a fault that proxies do to requests."""

Layer = Literal["upstream", "client"]


def _http_status(value: int) -> int:
    if not 200 <= value <= 599:
        raise refusal(f"{value} is not a status that Envoy answers with", "give 200 to 599")
    return value


HttpStatus = Annotated[
    Int, AfterValidator(_http_status), Field(json_schema_extra={"minimum": 200, "maximum": 599})
]


class Share(Model):
    """A part of the requests."""

    value: PercentFraction
    """In percent."""


class Delay(Model):
    """Requests made to wait."""

    fixed_delay: PositiveDuration
    """For how long."""
    percentage: Share = Share(value=100)
    """How many of them; all where unset."""


class Abort(Model):
    """Requests answered with an error instead of being served."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.httpStatus) != has(self.grpcStatus)",
                    "message": "set exactly one of httpStatus and grpcStatus",
                }
            ]
        }
    )

    http_status: HttpStatus | None = None
    """The status that they get."""
    grpc_status: Str | None = None
    """The gRPC status that they get, by its name (`UNAVAILABLE`)."""
    percentage: Share = Share(value=100)
    """How many of them; all where unset."""

    def problems(self) -> Iterator[Problem]:
        """No status, or two; a status that gRPC does not have."""
        if (self.http_status is None) == (self.grpc_status is None):
            yield Problem("", "needs exactly one of httpStatus and grpcStatus", "set one of them")
        if self.grpc_status is not None and self.grpc_status not in GRPC_STATUSES:
            yield Problem(
                "grpcStatus",
                f"{self.grpc_status!r} is not a gRPC status that says failure",
                f"use one of {', '.join(GRPC_STATUSES)}",
            )


class Reset(Model):
    """Requests broken off without an answer: the connection is closed (HTTP/1), or the stream reset (HTTP/2)."""

    percentage: Share = Share(value=100)
    """How many of them; all where unset."""


class Bandwidth(Model):
    """Responses slowed down."""

    limit_kbps: Annotated[Count, Field(json_schema_extra={"minimum": 1})]
    """Kibibytes a second that one response may have at most, as Envoy counts them."""
    percentage: Share = Share(value=100)
    """How many of them; all where unset."""

    def problems(self) -> Iterator[Problem]:
        """A limit of nothing would be an outage; there are aborts for that."""
        if self.limit_kbps < 1:
            yield Problem("limitKbps", "is 0", "give at least 1, or use abort")


class PodKill(Model):
    """Pods of the target that are evicted, once, when the experiment begins."""

    mode: Literal["one", "all", "fixed", "fixed-percent"] = "one"
    """How many: one, every one, `value` of them, or `value` percent of them (rounded up)."""
    value: IntOrString | None = None
    """The number or the percentage."""
    grace_period_seconds: Count | None = None
    """Time that they get to end; the pod's own where unset. 0 kills at once."""

    @property
    def number(self) -> int:
        """`value` as a number; 0 where it is none."""
        text = str(self.value if self.value is not None else 0).removesuffix("%")
        return int(text) if text.isdecimal() else 0

    def problems(self) -> Iterator[Problem]:
        """A mode without the number it needs, or with one that it does not."""
        counted = self.mode in {"fixed", "fixed-percent"}
        if counted and self.value is None:
            yield Problem("value", f"is required with mode {self.mode}", "give the number")
        elif counted and (self.number < 1 or (self.mode == "fixed-percent" and self.number > 100)):
            most = " to 100" if self.mode == "fixed-percent" else " or more"
            yield Problem("value", f"{self.value!r} cannot be used", f"give a number, 1{most}")
        elif not counted and self.value is not None:
            yield Problem("value", f"means nothing with mode {self.mode}", "remove it")


def _unmatchable(field: str, match: StringMatch | None) -> Iterator[Problem]:
    if match is not None and match.regex and (reason := regex_fault(match.regex)):
        yield Problem(f"{field}.regex", reason, "write an RE2 expression")


class RequestMatch(Model):
    """Conditions that a request must all meet to be faulted."""

    headers: Mapping[str, StringMatch] = Field(default_factory=dict)
    """Headers by name; an empty match means that the header is present."""
    uri: StringMatch | None = None
    """The path, without the query."""
    method: StringMatch | None = None
    """The HTTP method."""

    def problems(self) -> Iterator[Problem]:
        """A match of nothing, header names that HTTP has no room for, and expressions that no proxy takes."""
        if not self.headers and self.uri is None and self.method is None:
            yield Problem("", "matches every request", "give headers, uri or method, or remove it")
        for name, value in self.headers.items():
            if not valid_header_name(name):
                yield Problem("headers", f"{name!r} is not a header's name", "correct the name")
            yield from _unmatchable(f'headers["{name}"]', value)
        yield from _unmatchable("uri", self.uri)
        yield from _unmatchable("method", self.method)


class Fault(Model):
    """What is broken: one or more of delay, abort or reset, bandwidth, certificateOutage and podKill."""

    delay: Delay | None = None
    """Requests made to wait."""
    abort: Abort | None = None
    """Requests answered with an error."""
    reset: Reset | None = None
    """Requests broken off; not together with `abort`."""
    bandwidth: Bandwidth | None = None
    """Responses slowed down."""
    certificate_outage: Bool = False
    """Whether the mesh's authority refuses certificates to the target's pods: none is renewed, and new pods get none."""
    pod_kill: PodKill | None = None
    """Pods evicted."""
    match: tuple[RequestMatch, ...] = ()
    """Any of these; none means every request."""
    layer: Layer = "upstream"
    """`upstream`: at the service, below the caller's retries and time-outs, which are so tested;
    `client`: at the caller, above them."""

    @property
    def in_mesh(self) -> bool:
        """Whether proxies carry any of it out."""
        return any(part is not None for part in self._parts)

    @property
    def leased(self) -> bool:
        """Whether any of it is in force only while somebody vouches for it."""
        return self.in_mesh or self.certificate_outage

    @property
    def traffic_percent(self) -> float:
        """The largest share of the matched requests that its parts can hit together; 0 without one."""
        return min(100.0, sum(part.percentage.value for part in self._parts if part))

    @property
    def _parts(self) -> tuple[Delay | Abort | Reset | Bandwidth | None, ...]:
        return (self.delay, self.abort, self.reset, self.bandwidth)

    @property
    def summary(self) -> str:
        """For a column: `delay 300ms 30%, abort 503 5%`."""
        return ", ".join(self._summaries())

    def _summaries(self) -> Iterator[str]:
        if self.delay:
            yield f"delay {self.delay.fixed_delay.text} {self.delay.percentage.value:g}%"
        if self.abort:
            status = self.abort.http_status or self.abort.grpc_status
            yield f"abort {status} {self.abort.percentage.value:g}%"
        if self.reset:
            yield f"reset {self.reset.percentage.value:g}%"
        if self.bandwidth:
            share = self.bandwidth.percentage.value
            yield f"bandwidth {self.bandwidth.limit_kbps}kbps {share:g}%"
        if self.certificate_outage:
            yield "no certificates"
        if self.pod_kill:
            value = "" if self.pod_kill.value is None else f" {self.pod_kill.value}"
            yield f"podKill {self.pod_kill.mode}{value}"

    def problems(self) -> Iterator[Problem]:
        """A fault of nothing, of nobody, or whose matches cannot matter."""
        if not self.leased and self.pod_kill is None:
            yield Problem(
                "",
                "breaks nothing",
                "set delay, abort, reset, bandwidth, certificateOutage or podKill",
            )
        if self.abort and self.reset:
            yield Problem(
                "reset",
                "cannot be together with abort: a request ends but once",
                "remove one of them, or make an experiment of its own of it",
            )
        for name, part in zip(REQUEST_FAULTS, self._parts, strict=True):
            if part is not None and part.percentage.value <= 0:
                yield Problem(f"{name}.percentage.value", "is 0", "give more, or remove it")
        if self.match and not self.in_mesh:
            yield Problem(
                "match",
                "means nothing for pods and certificates",
                "remove it, or add a fault of requests",
            )
