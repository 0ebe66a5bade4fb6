"""What must stay true while things are broken, and what happens where it does not (`spec.steadyState`, `abortPolicy`).

Probes carry Litmus' names. Knows nothing of how a probe is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import Field, WithJsonSchema

from rollout.api.durations import Duration
from rollout.api.fields import Count, HttpUrl, Name, PositiveDuration, Timeout
from rollout.api.model import Bool, Model, Number, Problem, Str, StrMap

ProbeMode = Literal["SOT", "EOT", "Edge", "Continuous", "OnChaos"]
ProbeType = Literal["prometheus", "http", "fortio", "k8s"]
Criteria = Literal["<", "<=", ">", ">=", "==", "!="]

_KEEPS_TYPE: Final[dict[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}


class Comparator(Model):
    """What a probe's value must be."""

    criteria: Criteria
    """How it is compared: `value-of-the-probe criteria value`."""
    value: Annotated[Number | Str, WithJsonSchema(_KEEPS_TYPE)]
    """With what. Text can only be equal or not."""

    def problems(self) -> Iterator[Problem]:
        """An order of texts."""
        if isinstance(self.value, str) and self.criteria not in {"==", "!="}:
            yield Problem("value", "is text, which has no order", "use == or !=, or give a number")


class RunProperties(Model):
    """How a probe is asked."""

    probe_timeout: PositiveDuration = Field(default_factory=lambda: Duration.parse("5s"))
    """Time for one answer."""
    interval: PositiveDuration = Field(default_factory=lambda: Duration.parse("5s"))
    """Between two questions of a probe that is asked again and again, and between two attempts."""
    attempt: Count = 1
    """How many questions in a row must fail before the probe has."""
    initial_delay: Timeout = Field(default_factory=lambda: Duration.parse("0s"))
    """Time to wait before the first question."""
    stop_on_failure: Bool = False
    """Whether the experiment ends as soon as this probe fails, whatever `abortPolicy` says."""

    def problems(self) -> Iterator[Problem]:
        """Questions without pause, and none at all."""
        if self.attempt < 1:
            yield Problem("attempt", "is 0, so it is never asked", "give at least 1")
        if self.interval.total_seconds() < 1:
            yield Problem("interval", f"{self.interval.text} is too short", "give at least 1s")


class ProbedObject(Model):
    """An object of the cluster, and what of it is looked at."""

    api_version: Name = "v1"
    """Its API version, `apps/v1` for a Deployment."""
    kind: Name
    """Its kind."""
    name: Name
    """Its name."""
    namespace: Name | None = None
    """Its namespace; that of the target where unset."""
    condition: Name | None = None
    """A condition's type: the value is its status, `True`, `False` or `Unknown`."""
    field: Name | None = None
    """A field by its path, `status.readyReplicas`."""

    def problems(self) -> Iterator[Problem]:
        """Nothing to look at, or two things."""
        if (self.condition is None) == (self.field is None):
            yield Problem("", "needs exactly one of condition and field", "set one of them")


_NEEDS = {"prometheus": "query", "http": "url", "fortio": "field", "k8s": "object"}


class ProbeSpec(Model):
    """One question about the steady state."""

    name: Name
    """Its name, one of a kind in the experiment."""
    type: ProbeType
    """Who answers."""
    mode: ProbeMode = "Continuous"
    """When: at the start, at the end, at both edges, all the time (`Continuous`: before and after as well),
    or only while things are broken (`OnChaos`)."""
    query: Str | None = None
    """`prometheus`: a query with one value; `{{ service }}`, `{{ namespace }}` and `{{ interval }}` are filled in."""
    address: HttpUrl | None = None
    """`prometheus`: whom to ask; the controller's Prometheus where unset."""
    url: HttpUrl | None = None
    """`http`: what is fetched. The value is the status that is answered."""
    method: Literal["GET", "HEAD", "POST"] = "GET"
    """`http`: how."""
    headers: StrMap = Field(default_factory=dict)
    """`http`: headers of the request."""
    field: (
        Literal["p50", "p75", "p90", "p99", "p99.9", "avg", "max", "qps", "errorRatio"] | None
    ) = None
    """`fortio`: which figure of the load's result; times in seconds. Known at the end of the load."""
    object: ProbedObject | None = None
    """`k8s`: the object and what of it is looked at."""
    comparator: Comparator
    """What the value must be."""
    run_properties: RunProperties = Field(default_factory=RunProperties)
    """How it is asked."""

    def problems(self) -> Iterator[Problem]:
        """What its type needs and lacks, what another type would need, and load's figures before there is load."""
        for type_, name in _NEEDS.items():
            given = getattr(self, name) is not None
            if type_ == self.type and not given:
                yield Problem(name, f"is required for a {type_} probe", "add it")
            elif type_ != self.type and given:
                yield Problem(name, f"means nothing for a {self.type} probe", "remove it")
        if self.address is not None and self.type != "prometheus":
            yield Problem("address", f"means nothing for a {self.type} probe", "remove it")
        if self.type == "fortio" and self.mode != "EOT":
            yield Problem("mode", "must be EOT: load has figures when it ended", "set mode: EOT")


class SteadyState(Model):
    """What must stay true."""

    method: Literal["threshold", "sequential"] = "threshold"
    """How it is judged: each value by its comparator, or besides by a sequential test of failed requests."""
    strategy: Literal["before", "after", "during", "continuously", "default"] = "default"
    """When: each probe as its mode says (`default`), or only those questions that fall before, during or after the
    fault; `continuously` asks every probe at all three times."""
    compare: Literal["control", "slo"] = "slo"
    """`sequential`: with what: the requests that are not faulted, or the limit `slo`."""
    slo: Number | None = None
    """`sequential` with `compare: slo`: the largest share of failed requests that is acceptable, 0 to 1."""
    alpha: Number = 0.01
    """`sequential`: the chance of being wrong that is accepted."""
    probes: tuple[ProbeSpec, ...] = ()
    """The questions."""

    def problems(self) -> Iterator[Problem]:
        """Names given twice, and tests that lack what they compare with."""
        seen: set[str] = set()
        for index, probe in enumerate(self.probes):
            if probe.name in seen:
                yield Problem(f"probes[{index}].name", f"{probe.name!r} is used twice", "rename it")
            seen.add(probe.name)
        if not 0 < self.alpha < 0.5:
            yield Problem("alpha", f"{self.alpha:g} cannot be used", "give 0.001 to 0.1")
        if self.method == "threshold" and not self.probes:
            yield Problem("probes", "is empty, so that nothing is judged", "add a probe")
        if self.method == "sequential" and self.compare == "slo":
            if self.slo is None:
                yield Problem("slo", "is required with compare: slo", "give the share, 0.01 is 1 %")
            elif not 0 < self.slo < 1:
                yield Problem(
                    "slo", f"{self.slo:g} is not a share", "give more than 0, less than 1"
                )


class AbortPolicy(Model):
    """What ends an experiment early."""

    on_steady_state_breach: Bool = True
    """A probe failed while things are broken."""
    on_canary_rollback: Bool = True
    """The canary of the target's service is rolled back."""
    on_no_data: Literal["hold", "abort"] = "hold"
    """A probe has no answer: it is asked again, or the experiment ends."""
