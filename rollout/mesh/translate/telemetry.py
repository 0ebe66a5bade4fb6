"""Istio's standard metrics, emitted by Envoy's stats access logger: names and labels as Istio's.

A client's proxy names its workload in a header, which the server's proxy takes off before the application sees it. A
gateway overwrites what came from outside; within the mesh it is a name for metrics, not an identity. Its namespace is
the certificate's where there is one.
"""

from __future__ import annotations

from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2 as h2m
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.service import Workload
from rollout.mesh.translate.resource import pack

PEER_HEADER = "x-rollout-peer"
PEER_METADATA = "rollout.peer"
"""Where a destination's proxy keeps what its caller says of itself."""
STATS_PREFIX = "mesh"
"""Envoy's page shows `envoy_mesh_istio_requests_total`; the agent's page takes the prefix off."""

_PEER_FIELDS = ("workload", "namespace", "app", "version", "canonical", "revision")
_PROOF_HEADER = "x-rollout-identity"
_UNKNOWN = "unknown"
_CLUSTER_ID = "Kubernetes"


def source_logs(workload: Workload, *, secured: bool = False) -> list[Any]:
    """The access loggers of a proxy that sends: the peer is the chosen endpoint, `secured` if that may be proved."""
    own = _static("source", workload)
    peer = _labels("destination", lambda key: f"%METADATA(UPSTREAM_HOST:istio:{key})%")
    who = _principals("UPSTREAM_LOCAL", "UPSTREAM_PEER") if secured else {}
    return _logs({"reporter": "source"} | own | peer | who | _service("unknown"))


def destination_logs(workload: Workload, *, secured: bool = False) -> list[Any]:
    """The access loggers of a proxy that receives: the peer is who the header says it is; `secured`: in mutual TLS."""
    own = _static("destination", workload)
    peer = _labels("source", lambda key: f"%DYNAMIC_METADATA({PEER_METADATA}:{key})%")
    who = _principals("DOWNSTREAM_PEER", "DOWNSTREAM_LOCAL") if secured else {}
    security = _service("mutual_tls" if secured else "none")
    return _logs({"reporter": "destination"} | peer | own | who | security)


def _principals(source: str, destination: str) -> dict[str, str]:
    """By the certificates of a connection; `-` where it has none."""
    return {
        "source_principal": f"%{source}_URI_SAN%",
        "destination_principal": f"%{destination}_URI_SAN%",
    }


def _labels(side: str, value_of: Any) -> dict[str, str]:
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


def _static(side: str, workload: Workload) -> dict[str, str]:
    return _labels(side, dict(zip(_PEER_FIELDS, _fields(workload), strict=True)).__getitem__)


def _fields(workload: Workload) -> tuple[str, ...]:
    return (
        workload.name,
        workload.namespace,
        workload.app,
        workload.version,
        workload.canonical,
        workload.revision,
    )


def _service(security: str) -> dict[str, str]:
    return {
        "destination_service": "%METADATA(CLUSTER:istio:host)%",
        "destination_service_name": "%METADATA(CLUSTER:istio:name)%",
        "destination_service_namespace": "%METADATA(CLUSTER:istio:namespace)%",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        "connection_security_policy": security,
    }


def _logs(labels: dict[str, str]) -> list[Any]:
    http = labels | {"request_protocol": "http", "grpc_response_status": ""}
    grpc = labels | {
        "request_protocol": "grpc",
        "grpc_response_status": "%GRPC_STATUS_NUMBER%",
    }
    return [_log(http, grpc=False), _log(grpc, grpc=True)]


def _log(labels: dict[str, str], *, grpc: bool) -> Any:
    tags = [
        stats_pb2.Config.Tag(name=name, value_format=value)
        for name, value in labels.items()
        if value
    ]
    requests = stats_pb2.Config.Counter(
        stat=stats_pb2.Config.Stat(name="istio_requests_total", tags=tags),
        value_fixed=wrappers_pb2.UInt64Value(value=1),
    )
    duration = stats_pb2.Config.Histogram(
        stat=stats_pb2.Config.Stat(name="istio_request_duration_milliseconds", tags=tags),
        unit=stats_pb2.Config.Histogram.Milliseconds,
        value_format="%DURATION%",
    )
    config = stats_pb2.Config(stat_prefix=STATS_PREFIX, counters=[requests], histograms=[duration])
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stats", filter=_filter(grpc=grpc), typed_config=pack(config)
    )


def _filter(*, grpc: bool) -> Any:
    """Requests of that kind, without the kubelet's probes: they would dilute an application's error rate."""
    kind = _header("content-type", "application/grpc", invert=not grpc)
    probe = _header("user-agent", "kube-probe/", invert=True)
    both = accesslog_pb2.AndFilter(filters=[kind, probe])
    return accesslog_pb2.AccessLogFilter(and_filter=both)


def _header(name: str, prefix: str, *, invert: bool) -> Any:
    matcher = rc.HeaderMatcher(
        name=name,
        string_match=string_pb2.StringMatcher(prefix=prefix),
        invert_match=invert,
        treat_missing_header_as_empty=True,
    )
    return accesslog_pb2.AccessLogFilter(header_filter=accesslog_pb2.HeaderFilter(header=matcher))


def peer_writer(workload: Workload) -> Any:
    """The filter that names this proxy's workload to whom it calls."""
    option = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=PEER_HEADER, value=";".join(_fields(workload))),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    config = header_mutation_pb2.HeaderMutation()
    config.mutations.request_mutations.add().append.CopyFrom(option)
    return config


def peer_reader() -> Any:
    """The filter that takes the caller's name off a request and keeps it for metrics."""
    rules = [_rule(index) for index in range(len(_PEER_FIELDS))]
    rules[-1].remove = True
    return h2m.Config(request_rules=rules)


def proof_writer() -> Any:
    """The filter that puts the caller's identity where `proof_reader` finds it, whatever was there."""
    option = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=_PROOF_HEADER, value="%DOWNSTREAM_PEER_URI_SAN%"),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    config = header_mutation_pb2.HeaderMutation()
    config.mutations.request_mutations.add().append.CopyFrom(option)
    return config


def proof_reader() -> Any:
    """The filter that takes the caller's namespace from its identity, over what its header says."""
    rewrite = regex_pb2.RegexMatchAndSubstitute(
        pattern=regex_pb2.RegexMatcher(regex="^spiffe://[^/]+/ns/([^/]+)/sa/.*$"),
        substitution=r"\1",
    )
    proved = h2m.Config.KeyValuePair(
        metadata_namespace=PEER_METADATA, key="namespace", regex_value_rewrite=rewrite
    )
    rule = h2m.Config.Rule(header=_PROOF_HEADER, on_header_present=proved, remove=True)
    return h2m.Config(request_rules=[rule])


def _rule(index: int) -> Any:
    parts = ["([^;]*)" if i == index else "[^;]*" for i in range(len(_PEER_FIELDS))]
    rewrite = regex_pb2.RegexMatchAndSubstitute(
        pattern=regex_pb2.RegexMatcher(regex=f"^{';'.join(parts)}$"), substitution=r"\1"
    )
    pair = h2m.Config.KeyValuePair
    key = _PEER_FIELDS[index]
    return h2m.Config.Rule(
        header=PEER_HEADER,
        on_header_present=pair(
            metadata_namespace=PEER_METADATA, key=key, regex_value_rewrite=rewrite
        ),
        on_header_missing=pair(metadata_namespace=PEER_METADATA, key=key, value=_UNKNOWN),
    )
