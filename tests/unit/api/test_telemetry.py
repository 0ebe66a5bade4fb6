"""What a Telemetry, a meshConfig, a CEL expression and a log's format may say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.api.cel import fault_in
from rollout.api.errors import InvalidObject
from rollout.api.istio.logformat import unknown_command
from rollout.api.istio.meshconfig import MeshConfig
from rollout.api.istio.telemetry import Telemetry
from rollout.mesh.ingest.logformats import ISTIO_LABELS, ISTIO_TEXT

Json = dict[str, Any]


@pytest.mark.parametrize(
    "expression",
    [
        "response.code >= 400",
        "response.code >= 400 && request.url_path.startsWith('/api') || connection.mtls",
        "!has(request.headers['x-quiet'])",
        "'x-debug' in request.headers",
        "request.method in ['GET', \"HEAD\"]",
        "request.headers['a'].matches('^[a-z]+$') ? 'a' : (size(request.path) > 3 ? 'b' : 'c')",
        "-1 + 2 * 3 % 4 < 10.5",
        "xds.cluster_metadata.filter_metadata['istio']['host'] == 'x'",
        "metadata.filter_metadata['rollout.peer'].app.contains('a')",
    ],
)
def test_an_expression_that_envoy_evaluates_is_taken(expression: str) -> None:
    assert fault_in(expression) == ""


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "where a value should be"),
        ("response.code >=", "where a value should be"),
        ("response.kode == 1", "names response.kode"),
        ("upstream_peer.name == 'a'", "names 'upstream_peer'"),
        ("request.headers['a'", "where ']' should be"),
        ("request.headers.all(x, true)", "calls all"),
        ("delete(request.path)", "calls delete"),
        ("request.path.startsWith()", "with 0 arguments"),
        ("request.path.matches('(')", "regular expression"),
        ("request.path.matches(request.host)", "not a constant"),
        ("a = 1", "is no CEL expression"),
        ("true true", "where it should end"),
        ("'unclosed", "is no CEL expression"),
        ("(" * 50 + "1" + ")" * 50, "nested"),
        ("1" * 2000, "longer"),
    ],
)
def test_an_expression_that_envoy_does_not_evaluate_is_refused(
    expression: str, reason: str
) -> None:
    assert reason in fault_in(expression)


@given(st.text(max_size=60))
def test_whatever_is_written_is_judged(expression: str) -> None:
    assert isinstance(fault_in(expression), str)
    assert isinstance(unknown_command(expression), str)


def test_a_label_has_no_room_for_a_percent_sign() -> None:
    assert "has no place" in fault_in("1 % 2", formatted=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ISTIO_TEXT, ""),
        (" ".join(ISTIO_LABELS.values()), ""),
        ("%START_TIME(%Y-%m-%dT%H:%M:%S%z)% 100%% %REQ(X-ID):10% %GRPC_STATUS(NUMBER)%", ""),
        ("%DYNAMIC_METADATA(a:b)% %FILTER_STATE(a:PLAIN)%", ""),
        ("%NO_SUCH_THING%", "is not a command"),
        ("100% sure", "a lone %"),
        ("%REQ%", "needs a name"),
        ("%REQ(a b)%", "does not name a header"),
        ("%PROTOCOL(x)%", "takes nothing in brackets"),
    ],
)
def test_formats_have_envoys_commands(text: str, reason: str) -> None:
    found = unknown_command(text)
    assert reason in found
    assert bool(found) == bool(reason)


def telemetry(**spec: Any) -> Json:
    return {
        "apiVersion": "telemetry.istio.io/v1alpha1",
        "kind": "Telemetry",
        "metadata": {"name": "t", "namespace": "shop"},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (
            {"accessLogging": [{"filter": {"expression": "nope"}}]},
            "spec.accessLogging[0].filter.expression",
        ),
        ({"accessLogging": [{"match": {"mode": "BOTH"}}]}, "spec.accessLogging[0].match.mode"),
        (
            {"tracing": [{"randomSamplingPercentage": 101.0}]},
            "spec.tracing[0].randomSamplingPercentage",
        ),
        ({"tracing": [{"providers": [{"name": "a"}, {"name": "b"}]}]}, "spec.tracing[0].providers"),
        ({"tracing": [{"customTags": {"a": {}}}]}, "spec.tracing[0].customTags.a"),
        (
            {"tracing": [{"customTags": {"a": {"formatter": {"value": "%NO%"}}}}]},
            "spec.tracing[0].customTags.a.formatter.value",
        ),
        (
            {"metrics": [{"overrides": [{"tagOverrides": {"a": {"operation": "UPSERT"}}}]}]},
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
        ),
        (
            {"metrics": [{"overrides": [{"tagOverrides": {"a-b": {"value": "'x'"}}}]}]},
            "spec.metrics[0].overrides[0].tagOverrides",
        ),
        (
            {"metrics": [{"overrides": [{"match": {"customMetric": "mine"}}]}]},
            "spec.metrics[0].overrides[0].match.customMetric",
        ),
        ({"targetRefs": [{"kind": "Gateway", "name": "a"}]}, "spec.targetRefs"),
    ],
)
def test_a_bad_field_is_named(spec: Json, field: str) -> None:
    with pytest.raises(InvalidObject) as raised:
        Telemetry.parse(telemetry(**spec))
    assert [error.path for error in raised.value.errors] == [field]


def test_what_is_not_acted_upon_is_kept_and_named() -> None:
    parsed = Telemetry.parse(telemetry(metrics=[{"reportingInterval": "5s"}]))
    assert [error.path for error in parsed.unknown_fields] == ["spec.metrics[0].reportingInterval"]


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"accessLogFile": "/var/log/access"}, "accessLogFile"),
        ({"accessLogEncoding": "XML"}, "accessLogEncoding"),
        ({"accessLogFormat": "%WHAT%"}, "accessLogFormat"),
        ({"accessLogEncoding": "JSON", "accessLogFormat": "[1]"}, "accessLogFormat"),
        ({"accessLogEncoding": "JSON", "accessLogFormat": '{"a": "%X%"}'}, "accessLogFormat"),
        ({"defaultProviders": {"tracing": ["nobody"]}}, "defaultProviders.tracing[0]"),
        ({"extensionProviders": [{"name": "a"}]}, "extensionProviders[0]"),
        (
            {"extensionProviders": [{"name": "a", "prometheus": {}}] * 2},
            "extensionProviders[1].name",
        ),
        (
            {"extensionProviders": [{"name": "a", "zipkin": {"service": "z", "port": 0}}]},
            "extensionProviders[0].zipkin.port",
        ),
        ({"defaultConfig": {"tracing": {"zipkin": {"address": "z"}}}},
         "defaultConfig.tracing.zipkin.address"),
        ({"acessLogFile": "/dev/stdout"}, "acessLogFile"),
    ],
)  # fmt: skip
def test_a_bad_field_of_the_meshs_configuration_is_named(given_: Json, field: str) -> None:
    with pytest.raises(InvalidObject) as raised:
        MeshConfig.read(json.dumps(given_))
    assert [error.path for error in raised.value.errors] == [field]


@pytest.mark.parametrize("text", ["[]", "{", '"a"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidObject, match="is no JSON object"):
        MeshConfig.read(text)
