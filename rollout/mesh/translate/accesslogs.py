"""Access logs: lines on a container's output, of requests and of connections that are passed on as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2 as formats
from envoy.data.accesslog.v3 import accesslog_pb2 as data
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from google.protobuf import struct_pb2

from rollout.mesh.model.telemetry import AccessLog, LogOutput, LogSink, Reporting
from rollout.mesh.translate.resource import pack

_CEL = "envoy.access_loggers.extension_filters.cel"
_NO_ROUTE = "NR"
_OUTPUTS: Mapping[LogOutput, Any] = {
    LogOutput.STDOUT: stream_pb2.StdoutAccessLog,
    LogOutput.STDERR: stream_pb2.StderrAccessLog,
}


def http_logs(reporting: Reporting) -> list[Any]:
    """A line for each request that a log is about."""
    return [_log(each.sink, _chosen(each)) for each in reporting.logs]


def tcp_logs(reporting: Reporting) -> list[Any]:
    """A line for each connection when it ends; metrics are logged when it begins as well."""
    over = accesslog_pb2.LogTypeFilter(types=[data.TcpConnectionEnd])
    ended = accesslog_pb2.AccessLogFilter(log_type_filter=over)
    return [_log(each.sink, [ended, *_chosen(each)]) for each in reporting.logs]


def refused_logs(reporting: Reporting) -> list[Any]:
    """A line for each connection that no filter chain of a listener is for."""
    flags = accesslog_pb2.ResponseFlagFilter(flags=[_NO_ROUTE])
    unmatched = accesslog_pb2.AccessLogFilter(response_flag_filter=flags)
    return [_log(each.sink, [unmatched, *_chosen(each)]) for each in reporting.logs]


def _chosen(log: AccessLog) -> list[Any]:
    if not log.expression:
        return []
    config = cel_pb2.ExpressionFilter(expression=log.expression)
    extension = accesslog_pb2.ExtensionFilter(name=_CEL, typed_config=pack(config))
    return [accesslog_pb2.AccessLogFilter(extension_filter=extension)]


def _log(sink: LogSink, filters: list[Any]) -> Any:
    log = accesslog_pb2.AccessLog(name="envoy.access_loggers.file")
    if len(filters) == 1:
        log.filter.CopyFrom(filters[0])
    elif filters:
        log.filter.and_filter.filters.extend(filters)
    # By its descriptor: the file may not be opened again by the proxy's user.
    kind = _OUTPUTS[sink.output]
    log.typed_config.CopyFrom(pack(kind(log_format=_format(sink))))
    return log


def _format(sink: LogSink) -> Any:
    found = formats.SubstitutionFormatString(omit_empty_values=sink.omit_empty)
    if sink.labels:
        values = {key: struct_pb2.Value(string_value=value) for key, value in sink.labels}
        found.json_format.CopyFrom(struct_pb2.Struct(fields=values))
    else:
        found.text_format_source.inline_string = sink.text
    return found
