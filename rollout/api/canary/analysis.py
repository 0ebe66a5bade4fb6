"""How a canary is judged and how its traffic grows (`spec.analysis`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from rollout.api.canary.judge import Judge
from rollout.api.fields import Count, Name, Percent, PrometheusRange, Timeout
from rollout.api.istio.match import StringMatch
from rollout.api.metrictemplate import SecretRef
from rollout.api.model import Bool, Int, Model, Number, Problem, Str, StrMap, refusal
from rollout.api.querytemplate import QueryTemplate

BUILTIN_METRICS: Final = ("request-success-rate", "request-duration")
"""Metrics that need no query: percentage of requests without a 5xx, and the 99th percentile in milliseconds."""

_COOKIE_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


def _weight(value: int) -> int:
    if not 1 <= value <= 100:
        raise refusal(f"{value} is not a weight", "give a percentage from 1 to 100")
    return value


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in value):
        raise refusal(f"{value!r} is not a URL", "write it like http://host:port/path")
    return value


def _cookie_name(value: str) -> str:
    if not _COOKIE_NAME.fullmatch(value):
        raise refusal(f"{value!r} is not a cookie's name", "use letters, digits, - and _")
    return value


Weight = Annotated[
    Int, AfterValidator(_weight), Field(json_schema_extra={"minimum": 1, "maximum": 100})
]
HttpUrl = Annotated[
    Str,
    AfterValidator(_http_url),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 2048,
            "x-kubernetes-validations": [
                {
                    "rule": "self.startsWith('http://') || self.startsWith('https://')",
                    "message": "is not a URL: write it like http://host:port/path",
                }
            ],
        }
    ),
]
CookieName = Annotated[Str, AfterValidator(_cookie_name)]


class HeaderMatch(StringMatch):
    """A header compared with a text."""

    suffix: Str | None = None
    """Ends with this."""


class AnalysisMatch(Model):
    """Which requests take part in an A/B test."""

    headers: Mapping[str, HeaderMatch] = Field(default_factory=dict)
    """Headers by lower-case name."""
    query_params: Mapping[str, StringMatch] = Field(default_factory=dict)
    """Query parameters by name."""
    source_labels: StrMap = Field(default_factory=dict)
    """Labels of the calling workload; only where the route is for the mesh."""


class ThresholdRange(Model):
    """Values that a metric may have."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.min) || !has(self.max) || self.min <= self.max",
                    "message": "min is above max, so that no value is accepted: swap them",
                }
            ]
        }
    )

    min: Number | None = None
    """Least value."""
    max: Number | None = None
    """Greatest value."""

    def problems(self) -> Iterator[Problem]:
        """A range without values."""
        if self.min is not None and self.max is not None and self.min > self.max:
            yield Problem("", f"min {self.min:g} is above max {self.max:g}", "swap them")


class NamespacedRef(Model):
    """An object by name."""

    name: Name
    """Its name."""
    namespace: Str | None = None
    """Its namespace; that of the canary where unset."""


class CanaryMetric(Model):
    """A value that must stay within a range."""

    name: Name
    """Its name; request-success-rate and request-duration are built in."""
    interval: PrometheusRange | None = None
    """Window of the query; 1m where unset."""
    threshold: Number | None = None
    """Deprecated: least value of request-success-rate, greatest of all others."""
    threshold_range: ThresholdRange | None = None
    """Values that it may have."""
    query: QueryTemplate | None = None
    """A Prometheus query, as a Go template."""
    template_ref: NamespacedRef | None = None
    """A MetricTemplate with the query."""
    template_variables: StrMap = Field(default_factory=dict)
    """Values for `variables` in the query."""
    no_data_policy: Literal["fail", "hold", "pass"] | None = None
    """What a query without a value means: a failed check (also where unset), waiting, or a good check."""
    direction: Literal["increase", "decrease"] | None = None
    """Which change is for the worse: with `judge`, the canary's mean is compared with the primary's, by the same query for each."""

    @property
    def window(self) -> str:
        """The query's window as Prometheus reads it."""
        return self.interval or "1m"

    @property
    def builtin(self) -> bool:
        """Whether its query is built in."""
        return self.name in BUILTIN_METRICS

    @property
    def compared_only(self) -> bool:
        """Whether it is compared with the primary and has no bounds of its own."""
        unbounded = self.threshold is None and self.threshold_range is None
        return self.direction is not None and unbounded

    def problems(self) -> Iterator[Problem]:
        """A metric that nothing can be asked for."""
        if not (self.builtin or self.query or self.template_ref):
            yield Problem(
                "",
                f"{self.name!r} is not built in and has neither query nor templateRef",
                f"add one, or use {' or '.join(BUILTIN_METRICS)}",
            )
        if self.direction and self.builtin:
            reason = f"is known for {self.name}, whose requests are counted"
            yield Problem("direction", reason, "remove it")


class HeadersFrom(Model):
    """Headers that are kept apart from the canary."""

    secret_ref: SecretRef
    """Secret in the canary's namespace, whose every key is a header."""


class CanaryWebhook(Model):
    """An HTTP service that is asked or told."""

    name: Name
    """Its name."""
    type: (
        Literal[
            "",
            "confirm-rollout",
            "pre-rollout",
            "rollout",
            "confirm-traffic-increase",
            "confirm-promotion",
            "post-rollout",
            "event",
            "rollback",
        ]
        | None
    ) = None
    """When it is called; at every check where unset."""
    url: HttpUrl
    """Where it is."""
    mute_alert: Bool = False
    """Whether its refusals are not alerted."""
    timeout: Timeout | None = None
    """Time for one call; 10s where unset."""
    retries: Count | None = None
    """How often a failed call is repeated."""
    disable_tls: Bool = Field(default=False, alias="disableTLS")
    """Whether its certificate is not verified."""
    metadata: StrMap = Field(default_factory=dict)
    """Sent with every call."""
    headers_from: HeadersFrom | None = None
    """Headers sent with every call, such as an authorization."""


class CanaryAlert(Model):
    """Where news of this canary goes."""

    name: Name
    """Its name."""
    severity: Literal["", "info", "warn", "error"] | None = None
    """Least severity that is sent; info where unset."""
    provider_ref: NamespacedRef
    """The AlertProvider."""


class ChaosRef(Model):
    """A ChaosExperiment of the canary's namespace."""

    name: Name
    """Its name."""


class SessionAffinity(Model):
    """Callers that were answered by the canary stay with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.primaryCookieName) || self.primaryCookieName != self.cookieName",
                    "message": "primaryCookieName equals cookieName: give them different names",
                }
            ]
        }
    )

    cookie_name: CookieName
    """The canary's cookie."""
    primary_cookie_name: CookieName | None = None
    """The primary's cookie; where set, callers of the primary stay with it, too."""
    domain: Str | None = None
    """The cookies' domain."""
    http_only: Bool = False
    """Whether scripts cannot read the cookies."""
    max_age: Int = Field(default=86400, json_schema_extra={"minimum": 1})
    """The cookies' life in seconds."""
    partitioned: Bool = False
    """Whether the cookies are kept per top-level site."""
    path: Str | None = None
    """The cookies' path."""
    same_site: Literal["Strict", "Lax", "None"] | None = None
    """Whether the cookies are sent across sites."""
    secure: Bool = False
    """Whether the cookies are sent over HTTPS only."""

    def problems(self) -> Iterator[Problem]:
        """Cookies that cannot be told apart, or that no browser keeps."""
        if self.primary_cookie_name == self.cookie_name:
            yield Problem("primaryCookieName", "equals cookieName", "give it another name")
        if self.max_age < 1:
            yield Problem("maxAge", f"{self.max_age} ends the session at once", "give seconds")


_WAYS: Final = ("iterations", "stepWeight", "stepWeights")
_ONE_WAY: Final = "[has(self.iterations), has(self.stepWeight), has(self.stepWeights)]"


class Analysis(Model):
    """How a canary is judged and how its traffic grows."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"{_ONE_WAY}.filter(given, given).size() == 1",
                    "message": "set exactly one of stepWeight, stepWeights and iterations",
                }
            ]
        }
    )

    interval: Timeout
    """Time between two checks."""
    threshold: Int
    """Failed checks after which the canary is rolled back; less than 1 is read as 1."""
    max_weight: Percent | None = None
    """Share at which the canary is promoted; 100 where unset."""
    step_weight: Weight | None = None
    """By how much the canary's share grows after each good check."""
    step_weights: tuple[Weight, ...] | None = Field(
        default=None,
        json_schema_extra={
            "maxItems": 100,
            "minItems": 1,
            "x-kubernetes-validations": [
                {
                    "rule": "self.isSorted() && self.all(weight, self.exists_one(other, other == weight))",
                    "message": "weights must rise from step to step",
                }
            ],
        },
    )
    """The canary's shares, one after the other."""
    step_weight_promotion: Percent | None = None
    """By how much the primary's share grows when it is promoted; all at once where unset."""
    iterations: Int | None = Field(default=None, json_schema_extra={"minimum": 1})
    """Checks of a blue/green deployment or an A/B test."""
    mirror: Bool = False
    """Whether the canary gets copies of requests before it gets its own."""
    mirror_weight: Percent | None = None
    """Share of the requests that is copied; all where unset."""
    replica_ratio: Bool = False
    """Whether a weight is a share of the pods instead of the requests, for work that no route brings."""
    primary_ready_threshold: Percent | None = None
    """Share of the primary's pods that must be available; 100 where unset."""
    canary_ready_threshold: Percent | None = None
    """Share of the canary's pods that must be available; 100 where unset."""
    match: tuple[AnalysisMatch, ...] = ()
    """Requests that take part in an A/B test."""
    metrics: tuple[CanaryMetric, ...] = ()
    """What is checked."""
    webhooks: tuple[CanaryWebhook, ...] = ()
    """Who is asked or told."""
    alerts: tuple[CanaryAlert, ...] = ()
    """Where news goes."""
    session_affinity: SessionAffinity | None = None
    """Callers that were answered by the canary stay with it."""
    chaos: tuple[ChaosRef, ...] = ()
    """ChaosExperiments that run during each analysis, and that the revision must withstand to be promoted. They do
    not begin by themselves then."""
    judge: Judge | None = None
    """Judges request-success-rate and request-duration by statistics; by their thresholds alone where unset."""

    def problems(self) -> Iterator[Problem]:
        """Not exactly one way to advance; steps that do not rise; nothing that the judge could judge."""
        yield from self._way_problems()
        yield from self._judge_problems()

    def _judge_problems(self) -> Iterator[Problem]:
        if self.judge is None:
            for index, metric in enumerate(self.metrics):
                if metric.direction:
                    path = f"metrics[{index}].direction"
                    yield Problem(path, "is for judge, which is not set", "set judge, or remove it")
            return
        if not any(metric.builtin for metric in self.metrics):
            wanted = " or ".join(BUILTIN_METRICS)
            reason = "has no metric whose requests are counted"
            yield Problem("judge", reason, f"add {wanted} to metrics")
        if self.iterations is not None and self.match:
            reason = "is not for A/B tests: requests that were chosen for one arm prove nothing"
            yield Problem("judge", reason, "remove it, or match")
        elif self.iterations is not None and not self.mirror:
            reason = "needs requests of the same kind for both arms, which blue/green has none of"
            yield Problem("judge", reason, "set mirror, or stepWeight in place of iterations")
        if self.judge.baseline == "fresh":
            yield from self._baseline_problems()

    def _baseline_problems(self) -> Iterator[Problem]:
        """Requests that a baseline would get none of."""
        for name, given, why in (
            ("mirror", self.mirror, "copies of requests go to the canary alone"),
            ("sessionAffinity", self.session_affinity, "nobody stays with the baseline"),
        ):
            if given:
                reason = f"'fresh' excludes {name}: {why}"
                yield Problem("judge.baseline", reason, f"use primary, or remove {name}")

    def _way_problems(self) -> Iterator[Problem]:
        given = [
            name
            for name, value in zip(
                _WAYS, (self.iterations, self.step_weight, self.step_weights), strict=True
            )
            if value is not None
        ]
        if not given:
            yield Problem("stepWeight", "is required", f"set exactly one of {', '.join(_WAYS)}")
        if len(given) > 1:
            yield Problem("", f"sets {' and '.join(given)}", "keep exactly one of them")
        if self.iterations is not None and self.iterations < 1:
            yield Problem("iterations", f"is {self.iterations}", "give 1 or more")
        if self.step_weights == ():
            yield Problem("stepWeights", "is empty", "name weights from 1 to 100")
        for index, (before, after) in enumerate(pairwise(self.step_weights or ()), start=1):
            if after <= before:
                yield Problem(
                    f"stepWeights[{index}]", f"{after} is not above {before}", "name rising weights"
                )
