"""What probes read, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.chaos import ChaosExperiment, Comparator, ProbedObject, ProbeSpec
from rollout.chaos.loadresult import LoadResult
from rollout.chaos.probe import ProbePoint, ProbeVerdict
from rollout.chaos.probes.asking import Probes, Sources
from rollout.chaos.probes.objects import read_from
from rollout.chaos.probes.queries import variables
from rollout.chaos.probes.reading import Gone, Reading, Words, find
from rollout.http.client import HttpClient
from rollout.judge.checks import NoData, QueryFailed, Value
from rollout.judge.evidence.prometheus import Prometheus
from tests.unit.http.server import reply, server

PASSED, FAILED, NO_DATA, ERROR = ProbeVerdict
DEPLOYMENT = {
    "status": {
        "readyReplicas": 2,
        "phase": "Ready",
        "paused": False,
        "conditions": [{"type": "Available", "status": "True"}],
        "sizes": [{"now": 3}],
    }
}
LOAD = LoadResult.of(
    {
        "RequestedQPS": "10",
        "ActualQPS": 9.9,
        "ActualDuration": 1e9,
        "DurationHistogram": {
            "Count": 10,
            "Avg": 0.1,
            "Max": 0.5,
            "Data": [],
            "Percentiles": [{"Percentile": 99, "Value": 0.4}],
        },
        "RetCodes": {"200": 9, "-1": 1},
    }
)


@pytest.mark.parametrize(
    ("reading", "criteria", "limit", "verdict", "sentence"),
    [
        (Value(0.004), "<=", 0.01, PASSED, "errors is 0.004 (<= 0.01)"),
        (Value(0.01), "<", 0.01, FAILED, "errors is 0.01, and has to be < 0.01"),
        (Value(200.0), "==", 200, PASSED, "errors is 200 (== 200)"),
        (Value(503.0), "!=", 503, FAILED, "errors is 503, and has to be != 503"),
        (Value(float("inf")), "<", 1, FAILED, "errors is +Inf, and has to be < 1"),
        (Words("True"), "==", "True", PASSED, "errors is True (== True)"),
        (Words("False"), "==", "True", FAILED, "errors is False, and has to be == True"),
        (Words("3"), ">=", 2, PASSED, "errors is 3 (>= 2)"),
        (Words("many"), ">=", 2, ERROR, "errors could not be compared: 'many' is no number"),
        (Value(3.0), "==", "3", PASSED, "errors is 3 (== 3)"),
        (NoData("the result is empty"), "<", 1, NO_DATA, "errors: no data: the result is empty"),
        (QueryFailed("x is away", True), "<", 1, ERROR, "errors could not be asked: x is away"),
        (Gone("there is no Pod a/b"), "<", 1, FAILED, "errors: there is no Pod a/b"),
    ],
    ids=str,
)
def test_a_reading_is_compared(
    reading: Reading, criteria: str, limit: float | str, verdict: ProbeVerdict, sentence: str
) -> None:
    wanted = Comparator.model_validate({"criteria": criteria, "value": limit})
    found = find("errors", reading, wanted)
    assert found.verdict is verdict
    assert found.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("wanted", "numeric", "reading"),
    [
        ({"condition": "Available"}, False, Words("True")),
        ({"condition": "Progressing"}, False, NoData("it has no condition Progressing")),
        ({"field": "status.readyReplicas"}, True, Value(2.0)),
        ({"field": "status.unavailableReplicas"}, True, Value(0.0)),
        ({"field": "status.what"}, False, NoData("it has no field status.what")),
        ({"field": "status.phase"}, False, Words("Ready")),
        ({"field": "status.paused"}, False, Words("false")),
        ({"field": "status.sizes.0.now"}, True, Value(3.0)),
        ({"field": "status.sizes.7.now"}, True, Value(0.0)),
    ],
    ids=str,
)
def test_what_is_looked_at_of_an_object(
    wanted: dict[str, str], numeric: bool, reading: Reading
) -> None:
    probed = ProbedObject.model_validate({"kind": "Deployment", "name": "shop", **wanted})
    assert read_from(DEPLOYMENT, probed, numeric=numeric) == reading


def experiment(*probes: dict[str, Any]) -> ChaosExperiment:
    return ChaosExperiment.parse(
        {
            "apiVersion": "chaos.rollout.dev/v1alpha1",
            "kind": "ChaosExperiment",
            "metadata": {"namespace": "shop", "name": "slow"},
            "spec": {
                "target": {"service": "catalog"},
                "duration": "10s",
                "load": {"fortio": {}},
                "steadyState": {"probes": list(probes)},
            },
        }
    )


def probe(type_: str, criteria: str, limit: float, **fields: Any) -> dict[str, Any]:
    wanted = {"criteria": criteria, "value": limit}
    return {"name": "mine", "type": type_, "comparator": wanted, **fields}


async def ask(given: dict[str, Any], load: LoadResult | None = None) -> tuple[ProbeVerdict, str]:
    made = experiment(given)
    assert made.spec.steady_state
    async with HttpClient() as http:
        sources = Sources(
            client=None,  # type: ignore[arg-type] # no probe here asks the API server
            prometheus=Prometheus(),
            http=http,
            metrics_server="http://127.0.0.1:9",
            load_of=lambda _: load,
        )
        result = await Probes(sources).ask(
            made, made.spec.steady_state.probes[0], ProbePoint.DURING
        )
    assert (result.name, result.point) == ("mine", ProbePoint.DURING)
    return result.verdict, result.sentence


@pytest.mark.parametrize(
    ("field", "criteria", "limit", "verdict"),
    [
        ("p99", "<", 0.5, PASSED),
        ("errorRatio", "<=", 0.05, FAILED),
        ("errorRatio", "<=", 0.1, PASSED),
        ("p90", "<", 1, NO_DATA),
    ],
)
async def test_a_figure_of_the_load(
    field: str, criteria: str, limit: float, verdict: ProbeVerdict
) -> None:
    asked = probe("fortio", criteria, limit, field=field, mode="EOT")
    found, sentence = await ask(asked, LOAD)
    assert found is verdict
    if found is FAILED:
        assert sentence == "mine is 0.1 (1 of 10 requests: no answer (1)), and has to be <= 0.05"
    assert await ask(asked) == (NO_DATA, "mine: no data: the load has given no result")


async def test_a_page() -> None:
    with server(lambda seen: reply(b"", status=200 if seen.headers.get("x-a") else 503)) as asked:
        url = asked.address + "/healthz?token=secret"
        assert await ask(probe("http", "==", 200, url=url)) == (
            FAILED,
            "mine is 503, and has to be == 200",
        )
        given = probe("http", "==", 200, url=url, headers={"x-a": "1"}, method="POST")
        assert (await ask(given))[0] is PASSED
        assert asked.seen[-1].method == "POST"
    verdict, sentence = await ask(probe("http", "==", 200, url=url))
    assert verdict is FAILED
    assert "does not answer" in sentence
    assert "secret" not in sentence


async def test_who_is_slow_has_not_answered() -> None:
    with server(lambda _: reply(b"", slow=1.0)) as asked:
        given = probe("http", "==", 200, url=asked.address, runProperties={"probeTimeout": "100ms"})
        verdict, sentence = await ask(given)
    assert verdict in {FAILED, ERROR}
    assert "100ms" in sentence or "0.1s" in sentence


async def test_a_prometheus_that_is_away_is_no_breach() -> None:
    verdict, sentence = await ask(probe("prometheus", "<", 1, query="up"))
    assert verdict is ERROR
    assert "Connection refused" in sentence


async def test_a_query_that_cannot_be_read_names_what_it_lacks() -> None:
    verdict, sentence = await ask(probe("prometheus", "<", 1, query="up{a='{{ nothing }}'}"))
    assert verdict is ERROR
    assert "nothing" in sentence


def test_the_names_that_a_query_may_use() -> None:
    given = probe("prometheus", "<", 1, query="x", runProperties={"interval": "2s"})
    spec = ProbeSpec.model_validate(given)
    found = variables(experiment(given), spec)
    assert (found.service, found.namespace, found.interval) == ("catalog", "shop", "10s")
