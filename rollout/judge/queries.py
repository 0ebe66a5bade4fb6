"""The queries behind checks: those that are built in per mesh, and templates that users write.

The built-in ones are Flagger's, letter by letter, so that dashboards and recording rules made for them keep working.
Pure; knows the names that a template may use, not the canary behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from rollout.api.gotemplate import TemplateError, render
from rollout.judge.thresholds import Measure

__all__ = ["BUILTIN", "TemplateError", "Variables", "render_query"]

_ISTIO = (
    'reporter="destination",'
    'destination_workload_namespace="{{ namespace }}",'
    'destination_workload=~"{{ target }}"'
)
_SUFFIXES, _SUFFIX = "-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", "-[0-9a-zA-Z]+"
_PODS = (
    f'kubernetes_namespace="{{{{ namespace }}}}",kubernetes_pod_name=~"{{{{ target }}}}{_SUFFIXES}"'
)
_OF_PODS: Mapping[Measure, str] = {
    Measure.SUCCESS_RATE: (
        f'sum(rate(http_request_duration_seconds_count{{{_PODS},status!~"5.*"}}[{{{{ interval }}}}]))'
        f" / sum(rate(http_request_duration_seconds_count{{{_PODS}}}[{{{{ interval }}}}])) * 100"
    ),
    # Flagger multiplies after the query, which is in seconds.
    Measure.DURATION: (
        "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket"
        f"{{{_PODS}}}[{{{{ interval }}}}])) by (le)) * 1000"
    ),
}
BUILTIN: Mapping[str, Mapping[Measure, str]] = {
    "istio": {
        Measure.SUCCESS_RATE: (
            f'sum(rate(istio_requests_total{{{_ISTIO},response_code!~"5.*"}}[{{{{ interval }}}}]))'
            f" / sum(rate(istio_requests_total{{{_ISTIO}}}[{{{{ interval }}}}])) * 100"
        ),
        Measure.DURATION: (
            "histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket"
            f"{{{_ISTIO}}}[{{{{ interval }}}}])) by (le))"
        ),
    },
    "gatewayapi:v1": _OF_PODS,
    "kubernetes": _OF_PODS,
}
"""The built-in queries by provider and measure."""


def of_own_pods(query: str) -> str:
    """A built-in query for a workload that makes its pods itself: their names have one suffix where a Deployment's have two,
    and with two it would be the primary's pods that match.
    """
    return query.replace(_SUFFIXES, _SUFFIX)


METRIC_NAMES: Mapping[str, Measure] = {
    "request-success-rate": Measure.SUCCESS_RATE,
    "request-duration": Measure.DURATION,
}
"""The metrics that need no query of their own."""


_NAMES = ("name", "namespace", "target", "service", "ingress", "route", "interval")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """What a query template may name, each as a function."""

    name: str
    namespace: str
    target: str
    service: str
    ingress: str
    route: str
    interval: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def functions(self) -> dict[str, Callable[[], object]]:
        """The functions of the template."""
        values: dict[str, object] = {each: getattr(self, each) for each in _NAMES}
        values["variables"] = dict(self.variables)
        return {key: partial(lambda value: value, value) for key, value in values.items()}


def render_query(template: str, variables: Variables) -> str:
    """The query itself, on one line. Raises TemplateError where the template does not parse or names what is not there."""
    own = tuple(sorted(variables.variables.items()))
    return _rendered(template, *(getattr(variables, each) for each in _NAMES), own)


# A step is decided on several times, with the same query each time.
@lru_cache(maxsize=2048)
def _rendered(template: str, *values: Any) -> str:
    *named, own = values
    given = Variables(**dict(zip(_NAMES, named, strict=True)), variables=dict(own))
    return " ".join(render(template, functions=given.functions()).split())
