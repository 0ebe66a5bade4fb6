"""Each vendor's documented exchange: what it is asked, with which credentials, and what its answers mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from rollout.judge.checks import Answer, NoData, QueryFailed, Value
from rollout.judge.evidence.providers.table import PROVIDERS
from tests.unit.http.server import Answered, reply, server
from tests.unit.judge.providers.support import NOW, answer, source

_SECONDS = int(NOW.timestamp())
_FLUX = (
    "#datatype,string,long,dateTime:RFC3339,double\r\n#group,false,false,false,false\r\n"
    "#default,_result,,,\r\n,result,table,_time,_value\r\n,,0,2026-11-21T12:00:00Z,1.5\r\n"
)
_SSE = (
    'event: control-message\ndata: {"event": "STREAM_START"}\n\n'
    'event: data\ndata: {\ndata:  "data": [{"tsId": "A", "value": null}]\ndata: }\n\n'
    'event: data\ndata: {"data": [{"tsId": "A", "value": 1.25}]}\n\n'
    'event: control-message\ndata: {"event": "END_OF_CHANNEL"}\n\n'
)


@dataclass(frozen=True)
class Case:
    kind: str
    secret: dict[str, str] | None
    answers: Answered
    path: str
    expected: Answer = field(default_factory=lambda: Value(1.5))
    query: str = "the query"
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    given: dict[str, Any] = field(default_factory=dict)


_CASES = {
    "prometheus-token": Case(
        "prometheus",
        {"token": "t0ken"},
        reply({"data": {"result": [{"value": [1, "9"]}, {"value": [1, "1.5"]}]}}),
        "/api/v1/query",
        params={"query": "the query"},
        headers={"authorization": "Bearer t0ken", "x-scope-orgid": "one"},
        given={"headers": (("X-Scope-OrgID", ("one",)),)},
    ),
    "prometheus-basic": Case(
        "prometheus",
        {"username": "me", "password": "pass"},
        reply({"data": {"result": [{"value": [1, "NaN"]}]}}),
        "/api/v1/query",
        NoData("the value is NaN"),
        headers={"authorization": "Basic bWU6cGFzcw=="},
    ),
    "datadog": Case(
        "datadog",
        {"datadog_api_key": "api-key", "datadog_application_key": "app-key"},
        reply({"series": [{"pointlist": [[1e12, 1.5], [1e12, 9.0]]}, {"pointlist": []}]}),
        "/api/v1/query",
        params={"query": "the query", "from": str(_SECONDS - 600), "to": str(_SECONDS)},
        headers={"dd-api-key": "api-key", "dd-application-key": "app-key"},
    ),
    "datadog-no-series": Case(
        "datadog",
        {"datadog_api_key": "k", "datadog_application_key": "k"},
        reply({"status": "ok", "series": []}),
        "/api/v1/query",
        NoData("no series has a point"),
    ),
    "newrelic": Case(
        "newrelic",
        {"newrelic_account_id": "51312", "newrelic_query_key": "nr-key"},
        reply({"results": [{"result": 1.5}], "metadata": {}}),
        "/v1/accounts/51312/query",
        params={"nrql": "the query SINCE 60 seconds ago"},
        headers={"x-query-key": "nr-key"},
    ),
    "newrelic-one-function": Case(
        "newrelic",
        {"newrelic_account_id": "51312", "newrelic_query_key": "nr-key"},
        reply({"results": [{"average": 1.5}]}),
        "/v1/accounts/51312/query",
    ),
    "newrelic-nothing": Case(
        "newrelic",
        {"newrelic_account_id": "51312", "newrelic_query_key": "nr-key"},
        reply({"results": []}),
        "/v1/accounts/51312/query",
        NoData("there is no result"),
    ),
    "dynatrace": Case(
        "dynatrace",
        {"dynatrace_token": "dt-token"},
        reply({"result": [{"data": [{"values": [9]}, {"timestamps": [1], "values": [1.5]}]}]}),
        "/api/v2/metrics/query",
        params={
            "metricSelector": "the query",
            "resolution": "Inf",
            "from": str((_SECONDS - 600) * 1000),
            "to": str(_SECONDS * 1000),
        },
        headers={"authorization": "Api-Token dt-token"},
    ),
    "dynatrace-null": Case(
        "dynatrace",
        {"dynatrace_token": "dt-token"},
        reply({"result": [{"data": [{"values": [None]}]}]}),
        "/api/v2/metrics/query",
        NoData("the value is null"),
    ),
    "graphite": Case(
        "graphite",
        {"username": "me", "password": "pass"},
        reply([{"target": "a", "datapoints": [["1.5", 1], [None, 2]]}, {"datapoints": []}]),
        "/render",
        query="target=sumSeries(a.*)&from=-1min&format=png",
        params={"target": "sumSeries(a.*)", "from": "-1min", "format": "json"},
        headers={"authorization": "Basic bWU6cGFzcw=="},
    ),
    "influxdb-flux": Case(
        "influxdb",
        {"token": "in-token", "org": "acme"},
        reply(_FLUX),
        "/api/v2/query",
        query='from(bucket: "b") |> range(start: -1m)',
        params={"org": "acme"},
        headers={"authorization": "Token in-token", "content-type": "application/json"},
    ),
    "influxdb-flux-empty": Case(
        "influxdb", None, reply(""), "/api/v2/query", NoData("no table has a record")
    ),
    "influxdb-flux-text": Case(
        "influxdb",
        None,
        reply("#datatype,string,long,string\r\n,result,table,_value\r\n,,0,x\r\n"),
        "/api/v2/query",
        QueryFailed("_value is a string, not a number", retriable=False),
    ),
    "influxql": Case(
        "influxdb",
        {"database": "db", "username": "me", "password": "pass"},
        reply({"results": [{"series": [{"columns": ["time", "mean"], "values": [[1, 1.5]]}]}]}),
        "/query",
        query="select mean(v) from m",
        params={"q": "select mean(v) from m", "db": "db"},
        headers={"authorization": "Basic bWU6cGFzcw=="},
    ),
    "splunk": Case(
        "splunk",
        {"sf_token_key": "sf-token"},
        reply(_SSE),
        "/v2/signalflow/execute",
        Value(1.25),
        params={
            "start": str((_SECONDS - 600) * 1000),
            "stop": str(_SECONDS * 1000),
            "immediate": "true",
        },
        headers={"x-sf-token": "sf-token", "content-type": "text/plain"},
        body=b"the query",
    ),
    "splunk-two-series": Case(
        "splunk",
        {"sf_token_key": "sf-token"},
        reply('event: data\ndata: {"data": [{"tsId":"A","value":1},{"tsId":"B","value":2}]}\n\n'),
        "/v2/signalflow/execute",
        QueryFailed("the program publishes 2 time series, not one", retriable=False),
    ),
    "externalmetrics": Case(
        "externalmetrics",
        {"token": "em-token"},
        reply({"items": [{"metricName": "queue", "value": "1500m"}, {"value": "9"}]}),
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/apps/queue",
        query="apps/queue?labelSelector=app%3Dpodinfo",
        params={"labelSelector": "app=podinfo"},
        headers={"authorization": "Bearer em-token"},
    ),
    "externalmetrics-none": Case(
        "externalmetrics",
        None,
        reply({"items": []}),
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue",
        NoData("there is no such metric"),
        query="queue",
    ),
}


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES.keys())
async def test_exchange(case: Case) -> None:
    with server(lambda _: case.answers) as running:
        origin = source(case.kind, address=running.address, secret="creds", **case.given)
        assert await answer(origin, case.query, case.secret) == case.expected
    (seen,) = running.seen
    assert seen.path == case.path
    assert case.params.items() <= seen.params.items()
    assert case.headers.items() <= seen.headers.items()
    assert case.body is None or seen.body == case.body


_REQUIRED = {
    "datadog": ("datadog_api_key", "datadog_application_key"),
    "newrelic": ("newrelic_account_id", "newrelic_query_key"),
    "dynatrace": ("dynatrace_token",),
    "splunk": ("sf_token_key",),
    "stackdriver": ("project",),
    "graphite": ("username", "password"),
}


@pytest.mark.parametrize(
    ("kind", "missing"), [(kind, key) for kind, keys in _REQUIRED.items() for key in keys]
)
async def test_a_missing_key_is_named_with_its_secret(kind: str, missing: str) -> None:
    secret = {key: "s3cret-value" for key in _REQUIRED[kind] if key != missing}
    got = await answer(source(kind, address="http://x", secret="creds"), "q", secret)
    assert got == QueryFailed(
        f"MetricTemplate test/t: spec.provider.secretRef: Secret test/creds has no key {missing};"
        " add it",
        retriable=False,
    )


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("dynatrace", {}, "spec.provider.address: is missing"),
        ("prometheus", {"address": "prometheus:9090"}, "spec.provider.address: is not a URL"),
        ("cloudwatch", {}, "spec.provider.region: is missing"),
        ("datadog", {"address": "http://x"}, "spec.provider.secretRef: is missing"),
        ("keptn", {}, "spec.provider.type: keptn needs a cluster"),
    ],
)
async def test_a_wrong_configuration_names_the_field(
    kind: str, given: dict[str, str], words: str
) -> None:
    got = await answer(source(kind, **given), "q")
    assert isinstance(got, QueryFailed)
    assert words in got.reason
    assert not got.retriable


@pytest.mark.parametrize(
    ("status", "retriable"), [(400, False), (401, False), (403, False), (429, True), (503, True)]
)
async def test_a_refusal_says_so_without_the_secret(status: int, *, retriable: bool) -> None:
    with server(lambda seen: reply(f"no: {seen.headers['dd-api-key']}", status)) as running:
        secret = {"datadog_api_key": "s3cret-value", "datadog_application_key": "s3cret-other"}
        origin = source("datadog", address=running.address, secret="creds")
        got = await answer(origin, "q", secret)
    assert isinstance(got, QueryFailed)
    assert got.retriable is retriable
    assert f"datadog answers {status}: no: ***" in got.reason


@pytest.mark.parametrize("nonsense", [b"<html>", b"[]", b"{}", b"null", b'{"series": [{"x": 1}]}'])
@pytest.mark.parametrize("kind", sorted(set(PROVIDERS) - {"keptn", "stackdriver", "cloudwatch"}))
async def test_nonsense_is_never_a_value(kind: str, nonsense: bytes) -> None:
    secret = {key: "value" for keys in _REQUIRED.values() for key in keys} | {
        "token": "t",
        "org": "o",
    }
    with server(lambda _: reply(nonsense)) as running:
        got = await answer(source(kind, address=running.address, secret="creds"), "q", secret)
    assert isinstance(got, QueryFailed | NoData)


async def test_nobody_there() -> None:
    secret = {"dynatrace_token": "t"}
    got = await answer(source("dynatrace", address="http://127.0.0.1:1"), "q", secret)
    assert isinstance(got, QueryFailed)
    assert got.retriable
    assert got.reason.startswith("dynatrace does not answer: ")
