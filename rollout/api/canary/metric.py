"""A value that is measured while a canary is analysed, and what it may be (`spec.analysis.metrics`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import ConfigDict, Field

from rollout.api.fields import Name, PrometheusRange
from rollout.api.model import Model, Number, Problem, Str, StrMap
from rollout.api.querytemplate import QueryTemplate

BUILTIN_METRICS: Final = ("request-success-rate", "request-duration")
"""Metrics that need no query: percentage of requests without a 5xx, and the 99th percentile in milliseconds."""


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
