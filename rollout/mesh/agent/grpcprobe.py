"""One gRPC health check (`grpc.health.v1.Health/Check`) over HTTP/2 in clear text, as the kubelet makes it.

By hand, because a gRPC library would triple the agent's memory: of HTTP/2 there is what one small call needs.
"""

from __future__ import annotations

import socket
import time

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK, _PADDED = 1, 4, 1, 8
_SERVING = 1
_MOST = 64 << 10


def serving(host: str, port: int, service: str, *, seconds: float, source: str = "") -> str:
    """Why the service is not healthy; empty when it says that it serves."""
    deadline = time.monotonic() + seconds
    try:
        origin = (source, 0) if source else None
        with socket.create_connection((host, port), seconds, origin) as peer:
            peer.sendall(_request(f"{host}:{port}", service))
            return _judge(_reply(peer, deadline))
    except (OSError, ValueError) as error:
        return f"grpc {host}:{port}: {error}"


def _request(authority: str, service: str) -> bytes:
    headers = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kube-probe/rollout"),
    )
    block = b"".join(b"\0" + _string(name) + _string(value) for name, value in headers)
    name = service.encode()
    body = b"\x0a" + bytes([len(name)]) + name if name else b""
    message = b"\0" + len(body).to_bytes(4, "big") + body
    return b"".join(
        (
            _PREFACE,
            _frame(_SETTINGS, 0, 0, b""),
            _frame(_HEADERS, _END_HEADERS, 1, block),
            _frame(_DATA, _END_STREAM, 1, message),
        )
    )


def _string(text: str) -> bytes:
    """HPACK, without Huffman; a length below 127 is one byte."""
    data = text.encode()[:126]
    return bytes([len(data)]) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def _reply(peer: socket.socket, deadline: float) -> bytes:
    """The data of the answer."""
    body = b""
    while True:
        head = _exactly(peer, 9, deadline)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        if size > _MOST or len(body) > _MOST:
            raise ValueError("the answer is too long")
        payload = _exactly(peer, size, deadline)
        if kind in (_RESET, _GOAWAY):
            raise ValueError("the call was refused")
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            peer.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        if kind == _DATA:
            body += payload[1 : size - payload[0]] if flags & _PADDED else payload
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return body


def _exactly(peer: socket.socket, size: int, deadline: float) -> bytes:
    found = b""
    while len(found) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        peer.settimeout(left)
        piece = peer.recv(size - len(found))
        if not piece:
            raise ValueError("connection closed before an answer")
        found += piece
    return found


def _judge(body: bytes) -> str:
    """A HealthCheckResponse, of which only the status is looked at; an error has none."""
    message = body[5:]
    if not body:
        return "the service answers with an error"
    status = message[1] if message[:1] == b"\x08" and len(message) > 1 else 0
    return "" if status == _SERVING else f"the service says status {status}"
