"""How a canary is judged and how its traffic grows (`spec.analysis`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from rollout.api.canary.affinity import SessionAffinity
from rollout.api.canary.judge import Judge
from rollout.api.canary.metric import BUILTIN_METRICS, CanaryMetric, NamespacedRef
from rollout.api.fields import Count, HttpUrl, Name, Percent, Timeout
from rollout.api.istio.match import StringMatch
from rollout.api.metrictemplate import SecretRef
from rollout.api.model import Bool, Int, Model, Problem, Str, StrMap, refusal


def _weight(value: int) -> int:
    if not 1 <= value <= 100:
        raise refusal(f"{value} is not a weight", "give a percentage from 1 to 100")
    return value


Weight = Annotated[
    Int, AfterValidator(_weight), Field(json_schema_extra={"minimum": 1, "maximum": 100})
]


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
