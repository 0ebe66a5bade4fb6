from __future__ import annotations

from rollout.mesh.agent.metrics import join, rewrite

PAGE = """\
# TYPE envoy_inbound_istio_requests_total counter
envoy_inbound_istio_requests_total{reporter="destination",response_code="200"} 3
# TYPE envoy_outbound_istio_requests_total counter
envoy_outbound_istio_requests_total{reporter="source",response_code="200"} 5
# TYPE envoy_server_live gauge
envoy_server_live{} 1

# TYPE envoy_mesh_istio_request_duration_milliseconds histogram
envoy_mesh_istio_request_duration_milliseconds_bucket{le="0.5"} 1
envoy_mesh_istio_request_duration_milliseconds_bucket{le="+Inf"} 3
envoy_mesh_istio_request_duration_milliseconds_sum{} 7
envoy_mesh_istio_request_duration_milliseconds_count{} 3
"""


def test_the_meshs_series_have_istios_names_and_each_family_stands_once() -> None:
    assert rewrite(PAGE).splitlines() == [
        "# TYPE istio_request_duration_milliseconds histogram",
        'istio_request_duration_milliseconds_bucket{le="0.5"} 1',
        'istio_request_duration_milliseconds_bucket{le="+Inf"} 3',
        "istio_request_duration_milliseconds_sum{} 7",
        "istio_request_duration_milliseconds_count{} 3",
        "# TYPE istio_requests_total counter",
        'istio_requests_total{reporter="destination",response_code="200"} 3',
        'istio_requests_total{reporter="source",response_code="200"} 5',
        "# TYPE envoy_server_live gauge",
        "envoy_server_live{} 1",
    ]


def test_without_a_scope_the_name_is_found_as_well() -> None:
    page = "# TYPE envoy_istio_requests_total counter\nenvoy_istio_requests_total{} 1\n"
    assert rewrite(page) == "# TYPE istio_requests_total counter\nistio_requests_total{} 1\n"


def test_a_label_that_mentions_a_mesh_series_is_left_alone() -> None:
    line = 'envoy_cluster_upstream_cx_active{envoy_cluster_name="istio_requests_total"} 1'
    assert rewrite(line) == f"{line}\n"


def test_what_is_not_there_is_unknown() -> None:
    line = 'envoy_mesh_istio_requests_total{source_app="-",response_flags="-",a_principal="-",b_app=""} 1'
    page = f"# TYPE envoy_mesh_istio_requests_total counter\n{line}\n"
    labels = 'source_app="unknown",response_flags="-",a_principal="unknown",b_app="unknown"'
    expected = f"istio_requests_total{{{labels}}} 1"
    assert rewrite(page).splitlines()[1] == expected


def test_the_applications_page_follows() -> None:
    assert join("a 1\n", "b 2") == "a 1\nb 2\n"
    assert join("a 1\n", "") == "a 1\n"
