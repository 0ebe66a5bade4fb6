"""The built-in queries are Flagger's, letter by letter; templates know the eight names and no other."""

from __future__ import annotations

import pytest

from rollout.judge.queries import BUILTIN, TemplateError, Variables, render_query
from rollout.judge.thresholds import Measure

VARIABLES = Variables(
    name="catalog-release",
    namespace="shop",
    target="catalog",
    service="catalog-svc",
    ingress="catalog-ingress",
    route="catalog-route",
    interval="1m",
    variables={"limit": "5"},
)


def test_builtin() -> None:
    labels = 'reporter="destination",destination_workload_namespace="shop",destination_workload=~"catalog"'
    rendered = {
        measure: render_query(query, VARIABLES) for measure, query in BUILTIN["istio"].items()
    }
    assert rendered == {
        Measure.SUCCESS_RATE: (
            f'sum(rate(istio_requests_total{{{labels},response_code!~"5.*"}}[1m]))'
            f" / sum(rate(istio_requests_total{{{labels}}}[1m])) * 100"
        ),
        Measure.DURATION: (
            "histogram_quantile(0.99, sum(rate("
            f"istio_request_duration_milliseconds_bucket{{{labels}}}[1m])) by (le))"
        ),
    }


def test_a_template_is_rendered_on_one_line() -> None:
    template = """
      sum({{ name }}, {{ namespace }}, {{ target }}, {{ service }},
          {{ ingress }}, {{ route }}, {{ interval }}) > {{ variables.limit }}
    """
    assert render_query(template, VARIABLES) == (
        "sum(catalog-release, shop, catalog, catalog-svc, catalog-ingress, catalog-route, 1m) > 5"
    )


@pytest.mark.parametrize("template", ["{{ nmae }}", "{{ name", "{{ variables.missing }}"])
def test_a_template_that_names_what_is_not_there(template: str) -> None:
    with pytest.raises(TemplateError):
        render_query(template, VARIABLES)


@pytest.mark.parametrize("provider", ["kubernetes", "gatewayapi:v1"])
def test_builtin_of_pods(provider: str) -> None:
    pods = 'kubernetes_namespace="shop",kubernetes_pod_name=~"catalog-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"'
    rendered = {m: render_query(query, VARIABLES) for m, query in BUILTIN[provider].items()}
    assert rendered == {
        Measure.SUCCESS_RATE: (
            f'sum(rate(http_request_duration_seconds_count{{{pods},status!~"5.*"}}[1m]))'
            f" / sum(rate(http_request_duration_seconds_count{{{pods}}}[1m])) * 100"
        ),
        Measure.DURATION: (
            f"histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{{{pods}}}[1m]))"
            " by (le)) * 1000"
        ),
    }
