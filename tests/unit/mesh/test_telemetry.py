"""Whose word counts on logs, spans and metrics, and what is said where it cannot be kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from prometheus_client import CollectorRegistry, generate_latest

from rollout.mesh.ingest.telemetry import default_unreached, untold
from rollout.mesh.model.telemetry import Metric, Mode, Reporter, Reporting
from rollout.mesh.tally import Tally
from rollout.mesh.translate.metrics import http_metrics, tcp_metrics
from tests.meshworld import World, as_json, messages

Json = dict[str, Any]
PROVIDERS = [
    {"name": "otel", "opentelemetry": {"service": "otel.tracing", "port": 4317}},
    {"name": "zipkin", "zipkin": {"service": "zipkin.tracing", "port": 9411}},
    {"name": "errors", "envoyFileAccessLog": {"path": "/dev/stderr"}},
]
LABELS = {"app": "web"}
ROOT = "istio-system"


def telemetry(namespace: str, name: str = "t", created: str = "2026-01-01", **spec: Any) -> Json:
    metadata = {"namespace": namespace, "name": name, "creationTimestamp": f"{created}T00:00:00Z"}
    head = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry"}
    return {**head, "metadata": metadata, "spec": spec}


def mine(**spec: Any) -> Json:
    return telemetry("shop", "mine", selector={"matchLabels": LABELS}, **spec)


def port(namespace: str, name: str, number: int, called: str) -> Json:
    metadata = {"namespace": namespace, "name": name}
    ports = [{"name": called, "port": number}]
    return {"kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None", "ports": ports}}


OTEL = port("tracing", "otel", 4317, "grpc-otlp")
ZIPKIN = port("tracing", "zipkin", 9411, "http")


def reporting(world: World, mode: Mode = Mode.CLIENT) -> Reporting:
    known = world.registry.telemetry
    return known.reporting("shop", frozenset(LABELS.items()), mode)


def log(*names: str, **more: Any) -> list[Json]:
    return [{"providers": [{"name": name} for name in names], **more}]


OFF = [{"disabled": True}]


@pytest.mark.parametrize(
    ("config", "objects", "client", "server"),
    [
        pytest.param({}, [], [], [], id="nothing said"),
        pytest.param({"accessLogFile": "/dev/stdout"}, [], ["out"], ["out"], id="mesh file"),
        pytest.param({}, [telemetry(ROOT, accessLogging=log("envoy"))], ["out"], ["out"], id="mesh"),
        pytest.param(
            {"accessLogFile": "/dev/stdout"}, [telemetry("shop", accessLogging=OFF)], [], [],
            id="off in a namespace",
        ),
        pytest.param(
            {"accessLogFile": "/dev/stdout"}, [telemetry("other", accessLogging=OFF)],
            ["out"], ["out"], id="off elsewhere",
        ),
        pytest.param(
            {},
            [telemetry(ROOT, accessLogging=log("envoy")), mine(accessLogging=log("errors"))],
            ["err"], ["err"], id="the narrowest names its own",
        ),
        pytest.param(
            {},
            [telemetry(ROOT, accessLogging=log("envoy", "errors")),
             mine(accessLogging=log("errors", disabled=True, match={"mode": "SERVER"}))],
            ["err", "out"], [], id="one side off",
        ),
        pytest.param(
            {}, [telemetry("shop", accessLogging=log("nobody"))], [], [], id="an unknown provider",
        ),
        pytest.param(
            {},
            [telemetry("shop", "old", accessLogging=log("envoy")),
             telemetry("shop", "new", "2026-02-02", accessLogging=log("errors"))],
            ["out"], ["out"], id="the oldest",
        ),
    ],
)  # fmt: skip
def test_who_logs(config: Json, objects: list[Json], client: list[str], server: list[str]) -> None:
    world = World(objects, mesh_config={"extensionProviders": PROVIDERS, **config})
    for mode, expected in ((Mode.CLIENT, client), (Mode.SERVER, server)):
        found = [each.sink.output.name[3:].lower() for each in reporting(world, mode).logs]
        assert sorted(found) == expected, mode


def span(*names: str, **more: Any) -> list[Json]:
    return log(*names, **more)


@pytest.mark.parametrize(
    ("config", "objects", "expected"),
    [
        pytest.param({}, [], None, id="nobody"),
        pytest.param(
            {"defaultProviders": {"tracing": ["otel"]}}, [], ("otel.tracing.svc.cluster.local", 1.0),
            id="default, one in a hundred",
        ),
        pytest.param(
            {"enableTracing": True,
             "defaultConfig": {"tracing": {"sampling": 10.0, "zipkin": {"address": "zipkin.tracing:9411"}}}},
            [], ("zipkin.tracing.svc.cluster.local", 10.0), id="by the mesh's address",
        ),
        pytest.param(
            {}, [telemetry(ROOT, tracing=span("zipkin", randomSamplingPercentage=50.0)),
                 mine(tracing=[{"randomSamplingPercentage": 0.0}])],
            ("zipkin.tracing.svc.cluster.local", 0.0), id="narrower sampling",
        ),
        pytest.param(
            {}, [telemetry(ROOT, tracing=span("zipkin")), mine(tracing=span("otel"))],
            ("otel.tracing.svc.cluster.local", 1.0), id="narrower provider",
        ),
        pytest.param(
            {}, [telemetry(ROOT, tracing=span("zipkin")),
                 telemetry("shop", tracing=[{"disableSpanReporting": True}])],
            None, id="off in a namespace",
        ),
    ],
)  # fmt: skip
def test_who_takes_spans(
    config: Json, objects: list[Json], expected: tuple[str, float] | None
) -> None:
    world = World(objects, mesh_config={"extensionProviders": PROVIDERS, **config})
    tracing = reporting(world).tracing
    found = (tracing.collector.host, tracing.sampling) if tracing else None
    assert found == expected


def traced(world: World) -> bool:
    who = world.proxy("sidecar", "shop", "web", LABELS)
    found = messages(world.view(who), "listeners").values()
    return "client_sampling" in json.dumps([as_json(each) for each in found])


def test_without_its_collectors_cluster_a_proxy_does_not_trace() -> None:
    config = {"extensionProviders": PROVIDERS, "defaultProviders": {"tracing": ["zipkin"]}}
    world = World([port("shop", "web", 80, "http")], mesh_config=config)
    assert not traced(world)
    world.put(ZIPKIN)
    assert traced(world)
    world.remove(ZIPKIN)
    assert not traced(world)


@pytest.mark.parametrize(
    ("objects", "field", "reason"),
    [
        ([mine(accessLogging=log("nobody"))], "spec.accessLogging[0].providers", "nobody"),
        ([mine(accessLogging=[{}])], "spec.accessLogging[0].providers", "no default provider"),
        ([mine(tracing=span("envoy"))], "spec.tracing[0].providers", "envoy"),
        ([mine(tracing=span("zipkin"))], "spec.tracing[0].providers", "does not exist"),
        (
            [mine(tracing=span("otel")), port("tracing", "otel", 4317, "http")],
            "spec.tracing[0].providers",
            "does not speak gRPC",
        ),
        (
            [mine(tracing=span("otel")), port("tracing", "otel", 4318, "grpc")],
            "spec.tracing[0].providers",
            "has no port 4317",
        ),
        (
            [telemetry("shop", "a"), telemetry("shop", "mine", "2026-02-02")],
            "spec.selector",
            "has no effect",
        ),
    ],
)
def test_what_nobody_gives_is_named(objects: list[Json], field: str, reason: str) -> None:
    world = World(objects, mesh_config={"extensionProviders": PROVIDERS})
    ((ref, problems),) = untold(world.registry).items()
    assert ref.name == "mine"
    (problem,) = problems
    assert (problem.field, reason in problem.reason) == (field, True), problem


def test_a_default_collector_that_is_not_there_is_noticed() -> None:
    config = {"extensionProviders": PROVIDERS, "defaultProviders": {"tracing": ["zipkin"]}}
    world = World(mesh_config=config)
    assert "does not exist" in default_unreached(world.registry)
    world.put(ZIPKIN)
    assert default_unreached(world.registry) == ""
    assert default_unreached(World().registry) == ""


def test_what_is_given_is_no_problem() -> None:
    objects = [mine(tracing=span("otel"), accessLogging=log("envoy", "errors")), OTEL]
    assert untold(World(objects, mesh_config={"extensionProviders": PROVIDERS}).registry) == {}


def test_metrics_that_are_not_counted_here_are_named() -> None:
    override = {"match": {"metric": "GRPC_REQUEST_MESSAGES"}, "disabled": True}
    (problem,) = World([mine(metrics=[{"overrides": [override]}])]).problems()
    assert problem.field == "spec.metrics[0].overrides[0].match.metric"


def stats(loggers: list[Any]) -> dict[str, dict[str, str]]:
    """Labels by metric; those of gRPC are the last of a name."""
    found = {}
    for each in loggers:
        config = MessageToDict(each.typed_config)
        for kind in ("counters", "histograms"):
            for entry in config.get(kind, ()):
                tags = entry["stat"]["tags"]
                found[entry["stat"]["name"]] = {tag["name"]: tag["valueFormat"] for tag in tags}
    return found


def test_later_overrides_hold_over_earlier_ones_metric_by_metric() -> None:
    remove = {"tagOverrides": {"request_protocol": {"operation": "REMOVE"}}}
    every = {"match": {"metric": "ALL_METRICS"}, "disabled": True}
    count = {
        "match": {"metric": "REQUEST_COUNT", "mode": "SERVER"},
        "disabled": False,
        "tagOverrides": {"a": {"value": "request.host"}, "b": {"value": "'x'"}},
    }
    world = World(
        [telemetry(ROOT, metrics=[{"overrides": [remove]}]), mine(metrics=[{"overrides": [every, count]}])]
    )  # fmt: skip
    who = world.proxy("sidecar", "shop", "web", LABELS).workload
    told = Reporter(workload=who, server=reporting(world, Mode.SERVER), client=reporting(world))
    found = stats(http_metrics(told, Mode.SERVER, secured=False))
    assert list(found) == [Metric.REQUEST_COUNT.value]
    labels = found[Metric.REQUEST_COUNT.value]
    assert (labels["a"], labels["b"]) == ("%CEL(request.host)%", "x")
    assert "request_protocol" not in labels
    assert http_metrics(told, Mode.CLIENT, secured=False) == []
    assert tcp_metrics(told, Mode.CLIENT, secured=False) == []


def test_connections_have_istios_labels_on_both_sides() -> None:
    who = World().proxy("sidecar", "shop", "web", LABELS).workload
    sides = [
        stats(tcp_metrics(Reporter(workload=who), mode, secured=True)) for mode in (Mode.CLIENT, Mode.SERVER)
    ]  # fmt: skip
    for found in sides:
        assert set(found) == {metric.value for metric in Metric if metric.name.startswith("TCP_")}
    (client, server) = (found["istio_tcp_sent_bytes_total"] for found in sides)
    assert client.keys() == server.keys()
    assert "response_code" not in client
    assert server["source_workload"] == "unknown"
    assert server["source_principal"] == "%DOWNSTREAM_PEER_URI_SAN%"
    assert server["connection_security_policy"] == "mutual_tls"


def test_a_tally_has_no_suffix() -> None:
    registry = CollectorRegistry()
    tally = Tally("pilot_xds_pushes", "Responses", ["type"], registry=registry)
    tally.inc("cds")
    tally.inc("cds")
    assert b'\npilot_xds_pushes{type="cds"} 2.0\n' in generate_latest(registry)
