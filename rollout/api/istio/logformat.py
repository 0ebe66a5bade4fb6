"""Envoy's commands in access log formats: one that it does not know would keep every listener from being updated.

Contract: Envoy's documentation of access logging, of the version that the image has.
"""

from __future__ import annotations

import re

_BARE = frozenset(
    [
        "START_TIME",
        "START_TIME_LOCAL",
        "EMIT_TIME",
        "EMIT_TIME_LOCAL",
        "PROTOCOL",
        "RESPONSE_CODE",
        "RESPONSE_CODE_DETAILS",
        "CONNECTION_TERMINATION_DETAILS",
        "RESPONSE_FLAGS",
        "RESPONSE_FLAGS_LONG",
        "BYTES_RECEIVED",
        "BYTES_SENT",
        "DURATION",
        "REQUEST_DURATION",
        "RESPONSE_DURATION",
        "RESPONSE_TX_DURATION",
        "REQUEST_TX_DURATION",
        "UPSTREAM_CONNECTION_POOL_READY_DURATION",
        "DOWNSTREAM_WIRE_BYTES_SENT",
        "DOWNSTREAM_WIRE_BYTES_RECEIVED",
        "DOWNSTREAM_HEADER_BYTES_SENT",
        "DOWNSTREAM_HEADER_BYTES_RECEIVED",
        "UPSTREAM_WIRE_BYTES_SENT",
        "UPSTREAM_WIRE_BYTES_RECEIVED",
        "UPSTREAM_HEADER_BYTES_SENT",
        "UPSTREAM_HEADER_BYTES_RECEIVED",
        "ROUTE_NAME",
        "VIRTUAL_CLUSTER_NAME",
        "UPSTREAM_CLUSTER",
        "UPSTREAM_CLUSTER_RAW",
        "UPSTREAM_HOST",
        "UPSTREAM_HOST_NAME",
        "UPSTREAM_HOST_NAME_WITHOUT_PORT",
        "UPSTREAM_REMOTE_ADDRESS",
        "UPSTREAM_REMOTE_PORT",
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "UPSTREAM_LOCAL_ADDRESS",
        "UPSTREAM_LOCAL_PORT",
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "UPSTREAM_PROTOCOL",
        "UPSTREAM_TRANSPORT_FAILURE_REASON",
        "UPSTREAM_CONNECTION_ID",
        "UPSTREAM_TLS_VERSION",
        "UPSTREAM_TLS_CIPHER",
        "UPSTREAM_PEER_URI_SAN",
        "UPSTREAM_PEER_DNS_SAN",
        "UPSTREAM_PEER_SUBJECT",
        "UPSTREAM_PEER_ISSUER",
        "UPSTREAM_LOCAL_URI_SAN",
        "UPSTREAM_LOCAL_DNS_SAN",
        "UPSTREAM_LOCAL_SUBJECT",
        "DOWNSTREAM_REMOTE_ADDRESS",
        "DOWNSTREAM_REMOTE_PORT",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        "DOWNSTREAM_DIRECT_REMOTE_PORT",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_LOCAL_ADDRESS",
        "DOWNSTREAM_LOCAL_PORT",
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "DOWNSTREAM_TLS_VERSION",
        "DOWNSTREAM_TLS_CIPHER",
        "DOWNSTREAM_TLS_SESSION_ID",
        "DOWNSTREAM_PEER_URI_SAN",
        "DOWNSTREAM_PEER_DNS_SAN",
        "DOWNSTREAM_PEER_SUBJECT",
        "DOWNSTREAM_PEER_ISSUER",
        "DOWNSTREAM_PEER_SERIAL",
        "DOWNSTREAM_PEER_FINGERPRINT_256",
        "DOWNSTREAM_PEER_FINGERPRINT_1",
        "DOWNSTREAM_LOCAL_URI_SAN",
        "DOWNSTREAM_LOCAL_DNS_SAN",
        "DOWNSTREAM_LOCAL_SUBJECT",
        "CONNECTION_ID",
        "STREAM_ID",
        "UNIQUE_ID",
        "REQUESTED_SERVER_NAME",
        "FILTER_CHAIN_NAME",
        "ACCESS_LOG_TYPE",
        "HOSTNAME",
        "GRPC_STATUS",
        "GRPC_STATUS_NUMBER",
        "LOCAL_REPLY_BODY",
        "TRACE_ID",
        "REQUEST_HEADERS_BYTES",
        "RESPONSE_HEADERS_BYTES",
        "RESPONSE_TRAILERS_BYTES",
    ]
)
"""Commands that need nothing in brackets."""
_NEEDS = frozenset(
    [
        "REQ",
        "RESP",
        "TRAILER",
        "DYNAMIC_METADATA",
        "CLUSTER_METADATA",
        "UPSTREAM_METADATA",
        "METADATA",
        "FILTER_STATE",
        "ENVIRONMENT",
    ]
)
"""Commands that need a name in brackets."""
_MAY = frozenset({"START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL", "GRPC_STATUS"})
"""Commands that may have something in brackets."""
_COMMAND = re.compile(r"%(?:%|([A-Z0-9_]+)(\([^%()]*\))?(:\d{1,4})?%)?")
_STRFTIME = re.compile(r"%((?:START|EMIT)_TIME(?:_LOCAL)?)\([^()]*\)%")
_HEADER = re.compile(r"[:A-Za-z0-9_-]+(\?[:A-Za-z0-9_-]+)?")


def unknown_command(text: str) -> str:
    """What Envoy would refuse of a format, empty where it takes it all."""
    text = _STRFTIME.sub(r"%\1%", text)
    for found in _COMMAND.finditer(text):
        whole, name, argument = found.group(0), found.group(1), found.group(2)
        if whole == "%%":
            continue
        if not name:
            return f"a lone % before {text[found.start() + 1 :][:20]!r}"
        if reason := _fault(name, argument):
            return f"{whole} {reason}"
    return ""


def _fault(name: str, argument: str | None) -> str:
    inside = (argument or "")[1:-1]
    if name in _NEEDS:
        if not inside:
            return "needs a name in brackets"
        if name in {"REQ", "RESP", "TRAILER"} and not _HEADER.fullmatch(inside):
            return "does not name a header"
        return ""
    if name in _BARE:
        return "takes nothing in brackets" if inside and name not in _MAY else ""
    return "is not a command of Envoy's"
