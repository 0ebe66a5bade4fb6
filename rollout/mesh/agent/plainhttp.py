"""HTTP/1.1 in two small halves, one request a connection: asking Envoy and the application, answering the kubelet.

The standard library's clients and servers would triple the agent's memory. Must not know what is said.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_HEAD = 16 << 10
SERVER_SECONDS = 10.0
SERVER_CONNECTIONS = 32


class HttpError(OSError):
    """The peer was not reached, was too slow, said too much, or did not speak HTTP."""


class Answer(NamedTuple):
    """A response: `body` is whole and decoded."""

    status: int
    body: bytes
    content_type: str = "text/plain"


class Question(NamedTuple):
    """A request that was received; the query string is cut off the path."""

    method: str
    path: str
    peer: str


def ask(
    host: str,
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    seconds: float = 2.0,
    limit: int = 16 << 20,
    source: str = "",
    tls: bool = False,
) -> Answer:
    """One request within `seconds` in all and `limit` bytes; `HttpError` says what went wrong."""
    deadline = time.monotonic() + seconds
    lines = {"Host": f"{host}:{port}", **(headers or {}), "Connection": "close"}
    if method == "POST":
        lines["Content-Length"] = "0"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        origin = (source, 0) if source else None
        connection = socket.create_connection((host, port), seconds, origin)
        with _secured(connection) if tls else connection as peer:
            peer.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
            return _parse(_read(peer, deadline, limit))
    except (OSError, ValueError) as error:
        raise HttpError(f"{method} http://{host}:{port}{path}: {error}") from error


def connects(host: str, port: int, *, seconds: float, source: str = "") -> bool:
    """Whether a TCP connection is accepted."""
    try:
        socket.create_connection((host, port), seconds, (source, 0) if source else None).close()
    except OSError:
        return False
    return True


def serve(port: int, handle: Callable[[Question], Answer], host: str = "") -> int:
    """Answer on a port, every request in a thread of its own, until the process ends; returns the port."""
    listener = socket.create_server((host, port), backlog=64)
    slots = threading.BoundedSemaphore(SERVER_CONNECTIONS)
    threading.Thread(target=_accept, args=(listener, handle, slots), daemon=True).start()
    bound: int = listener.getsockname()[1]
    return bound


def _secured(connection: socket.socket) -> socket.socket:
    """TLS without verification, as the kubelet's own https probes."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def _read(peer: socket.socket, deadline: float, limit: int) -> bytearray:
    received = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        peer.settimeout(left)
        piece = peer.recv(65536)
        if not piece:
            return received
        received += piece
        if len(received) > limit:
            raise ValueError(f"answer is larger than {limit} bytes")


def _parse(received: bytearray) -> Answer:
    head, separator, body = bytes(received).partition(b"\r\n\r\n")
    if not separator:
        raise ValueError("connection closed before an answer")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("not an HTTP answer")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _dechunk(body)
    elif "content-length" in headers and len(body) < int(headers["content-length"]):
        raise ValueError("answer was cut short")
    return Answer(int(rest[:3]), body, headers.get("content-type", "text/plain"))


def _dechunk(body: bytes) -> bytes:
    pieces: list[bytes] = []
    position = 0
    while True:
        end = body.find(b"\r\n", position)
        if end < 0:
            raise ValueError("answer was cut short")
        size = int(body[position:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2


def _accept(
    listener: socket.socket,
    handle: Callable[[Question], Answer],
    slots: threading.BoundedSemaphore,
) -> None:
    while True:
        slots.acquire()
        try:
            connection, address = listener.accept()
            connection.settimeout(SERVER_SECONDS)
            work = (connection, address[0], handle, slots)
            threading.Thread(target=_converse, args=work, daemon=True).start()
        except (OSError, RuntimeError):
            # Out of descriptors or threads: the next accept may fare better.
            slots.release()
            time.sleep(0.1)


def _converse(
    connection: socket.socket,
    peer: str,
    handle: Callable[[Question], Answer],
    slots: threading.BoundedSemaphore,
) -> None:
    try:
        with connection:
            question = _receive(connection, peer)
            answer = handle(question) if question else Answer(400, b"bad request\n")
            head = (
                f"HTTP/1.1 {answer.status} {'OK' if answer.status < 400 else 'Error'}\r\n"
                f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
                "Connection: close\r\n\r\n"
            )
            body = b"" if question and question.method == "HEAD" else answer.body
            connection.sendall(head.encode() + body)
    except OSError:
        pass  # the peer went away; it will ask again
    finally:
        slots.release()


def _receive(connection: socket.socket, peer: str) -> Question | None:
    received, deadline = b"", time.monotonic() + SERVER_SECONDS
    while b"\r\n\r\n" not in received:
        piece = connection.recv(4096)
        received += piece
        if not piece or len(received) > MAX_HEAD or time.monotonic() > deadline:
            return None
    words = received.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    return Question(words[0], words[1].partition("?")[0], peer)
