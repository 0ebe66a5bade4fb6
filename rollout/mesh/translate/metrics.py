"""Istio's standard metrics, counted by Envoy's stats access logger: names and labels as Istio's.

Of connections that are passed on as bytes, opened ones are counted when the other side is reached, or when it turns out
that it never will be; all else when they end: Envoy's log knows sums, not what was added since the last line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.data.accesslog.v3 import accesslog_pb2 as data
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.service import Workload
from rollout.mesh.model.telemetry import Metric, Mode, Reporter, Reporting
from rollout.mesh.translate.callers import PEER_FIELDS, PEER_METADATA, fields
from rollout.mesh.translate.resource import pack

STATS_PREFIX = "mesh"
"""Envoy's page shows `envoy_mesh_istio_requests_total`; the agent's page takes the prefix off."""

Labels = dict[str, str]
_UNKNOWN = "unknown"
_CLUSTER_ID = "Kubernetes"
_NEVER_REACHED = ("UF", "UH", "UO", "NR", "NC", "URX")
"""Envoy's flags of connections that had no other side."""
_HISTOGRAMS = {
    Metric.REQUEST_DURATION: ("%DURATION%", stats_pb2.Config.Histogram.Milliseconds),
    Metric.REQUEST_SIZE: ("%DOWNSTREAM_WIRE_BYTES_RECEIVED%", stats_pb2.Config.Histogram.Bytes),
    Metric.RESPONSE_SIZE: ("%DOWNSTREAM_WIRE_BYTES_SENT%", stats_pb2.Config.Histogram.Bytes),
}
_SUMS = {
    Metric.TCP_SENT_BYTES: "%BYTES_SENT%",
    Metric.TCP_RECEIVED_BYTES: "%BYTES_RECEIVED%",
}


def http_metrics(reporter: Reporter, mode: Mode, *, secured: bool) -> list[Any]:
    """The loggers that count requests; `secured` where peers may be proved by mutual TLS.

    The kubelet's probes are left out: they would dilute an application's error rate.
    """
    labels = _sides(reporter.workload, mode, secured=secured)
    labels = {**labels, "response_code": "%RESPONSE_CODE%", **_outcome(mode, secured=secured)}
    http = labels | {"request_protocol": "http"}
    grpc = labels | {"request_protocol": "grpc", "grpc_response_status": "%GRPC_STATUS_NUMBER%"}
    probe = _header("user-agent", "kube-probe/", invert=True)
    found = []
    for each, is_grpc in ((http, False), (grpc, True)):
        kind = _header("content-type", "application/grpc", invert=not is_grpc)
        reporting = reporter.of(mode)
        counters = _counters((Metric.REQUEST_COUNT,), each, reporting)
        found += _logger(counters, _histograms(each, reporting), _every(kind, probe))
    return found


def tcp_metrics(reporter: Reporter, mode: Mode, *, secured: bool) -> list[Any]:
    """The loggers that count connections and their bytes."""
    labels = _sides(reporter.workload, mode, secured=secured)
    if mode is Mode.SERVER:
        # No header names the caller here: what is proved of it is all that is known.
        principal = labels["source_principal"]
        labels |= dict.fromkeys(_labels("source", lambda _: _UNKNOWN), _UNKNOWN)
        labels["source_principal"] = principal
    labels |= {**_outcome(mode, secured=secured), "request_protocol": "tcp"}
    reporting = reporter.of(mode)
    over = _at(data.TcpConnectionEnd)
    flags = accesslog_pb2.ResponseFlagFilter(flags=_NEVER_REACHED)
    failed = accesslog_pb2.AccessLogFilter(response_flag_filter=flags)
    opened = _any(_at(data.TcpUpstreamConnected), _every(over, failed))
    ended = (Metric.TCP_CLOSED_CONNECTIONS, *_SUMS)
    return [
        *_logger(_counters((Metric.TCP_OPENED_CONNECTIONS,), labels, reporting), [], opened),
        *_logger(_counters(ended, labels, reporting), [], over),
    ]


def _sides(workload: Workload, mode: Mode, *, secured: bool) -> Labels:
    """Who sends and who takes: one is the proxy's own workload, the other the endpoint, or who the header says it is."""
    own = dict(zip(PEER_FIELDS, fields(workload), strict=True)).__getitem__
    if mode is Mode.CLIENT:
        who = _principals("UPSTREAM_LOCAL", "UPSTREAM_PEER") if secured else {}
        peer = _labels("destination", lambda key: f"%METADATA(UPSTREAM_HOST:istio:{key})%")
        return {"reporter": "source", **_labels("source", own), **peer, **who}
    who = _principals("DOWNSTREAM_PEER", "DOWNSTREAM_LOCAL") if secured else {}
    peer = _labels("source", lambda key: f"%DYNAMIC_METADATA({PEER_METADATA}:{key})%")
    return {"reporter": "destination", **peer, **_labels("destination", own), **who}


def _labels(side: str, value_of: Callable[[str], str]) -> Labels:
    return {
        f"{side}_workload": value_of("workload"),
        f"{side}_workload_namespace": value_of("namespace"),
        f"{side}_app": value_of("app"),
        f"{side}_version": value_of("version"),
        f"{side}_canonical_service": value_of("canonical"),
        f"{side}_canonical_revision": value_of("revision"),
        f"{side}_principal": _UNKNOWN,
        f"{side}_cluster": _CLUSTER_ID,
    }


def _principals(source: str, destination: str) -> Labels:
    """By the certificates of a connection; `-` where it has none."""
    return {
        "source_principal": f"%{source}_URI_SAN%",
        "destination_principal": f"%{destination}_URI_SAN%",
    }


def _outcome(mode: Mode, *, secured: bool) -> Labels:
    taken = "mutual_tls" if secured else "none"
    return {
        "destination_service": "%METADATA(CLUSTER:istio:host)%",
        "destination_service_name": "%METADATA(CLUSTER:istio:name)%",
        "destination_service_namespace": "%METADATA(CLUSTER:istio:namespace)%",
        "response_flags": "%RESPONSE_FLAGS%",
        "connection_security_policy": _UNKNOWN if mode is Mode.CLIENT else taken,
    }


def _stat(metric: Metric, labels: Labels, reporting: Reporting) -> Any:
    changed: Mapping[str, str | None] = dict(reporting.change(metric).labels)
    values = {key: value for key, value in labels.items() if key not in changed}
    values |= {key: _value(given) for key, given in changed.items() if given is not None}
    tags = [stats_pb2.Config.Tag(name=key, value_format=value) for key, value in values.items()]
    return stats_pb2.Config.Stat(name=metric.value, tags=tags)


def _value(expression: str) -> str:
    """A text as it is; everything else Envoy evaluates."""
    inner, quote = expression[1:-1], expression[:1]
    if (
        quote in {"'", '"'}
        and expression[-1:] == quote
        and quote not in inner
        and "\\" not in inner
    ):
        return inner
    return f"%CEL({expression})%"


def _counters(metrics: tuple[Metric, ...], labels: Labels, reporting: Reporting) -> list[Any]:
    found = []
    for metric in metrics:
        if reporting.change(metric).disabled:
            continue
        counter = stats_pb2.Config.Counter(stat=_stat(metric, labels, reporting))
        if metric in _SUMS:
            counter.value_format = _SUMS[metric]
        else:
            counter.value_fixed.CopyFrom(wrappers_pb2.UInt64Value(value=1))
        found.append(counter)
    return found


def _histograms(labels: Labels, reporting: Reporting) -> list[Any]:
    return [
        stats_pb2.Config.Histogram(
            stat=_stat(metric, labels, reporting), unit=unit, value_format=value
        )
        for metric, (value, unit) in _HISTOGRAMS.items()
        if not reporting.change(metric).disabled
    ]


def _logger(counters: list[Any], histograms: list[Any], chosen: Any) -> list[Any]:
    if not counters and not histograms:
        return []
    config = stats_pb2.Config(stat_prefix=STATS_PREFIX, counters=counters, histograms=histograms)
    name = "envoy.access_loggers.stats"
    return [accesslog_pb2.AccessLog(name=name, filter=chosen, typed_config=pack(config))]


def _at(moment: int) -> Any:
    kind = accesslog_pb2.LogTypeFilter(types=[moment])
    return accesslog_pb2.AccessLogFilter(log_type_filter=kind)


def _every(*filters: Any) -> Any:
    return accesslog_pb2.AccessLogFilter(and_filter=accesslog_pb2.AndFilter(filters=filters))


def _any(*filters: Any) -> Any:
    return accesslog_pb2.AccessLogFilter(or_filter=accesslog_pb2.OrFilter(filters=filters))


def _header(name: str, prefix: str, *, invert: bool) -> Any:
    matcher = rc.HeaderMatcher(
        name=name,
        string_match=string_pb2.StringMatcher(prefix=prefix),
        invert_match=invert,
        treat_missing_header_as_empty=True,
    )
    return accesslog_pb2.AccessLogFilter(header_filter=accesslog_pb2.HeaderFilter(header=matcher))
