from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rollout.mesh.agent.plainhttp import Answer, HttpError, Question, ask, connects, serve


@contextmanager
def peer(reply: bytes, *, hold: float = 0) -> Iterator[int]:
    """A server that reads a request, says `reply`, and hangs up after `hold` seconds."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(reply)
            time.sleep(hold)

    threading.Thread(target=talk, daemon=True).start()
    with listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            b"abcde",
        ),
    ],
    ids=["length", "until close", "chunked"],
)
def test_the_three_ways_in_which_a_body_comes(reply: bytes, body: bytes) -> None:
    with peer(reply) as port:
        assert ask("127.0.0.1", port, "/").body == body


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", "closed before an answer"),
        (b"SSH-2.0-x\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "cut short"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "cut short"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "larger than 1024 bytes"),
    ],
    ids=["nothing", "not HTTP", "short length", "short chunk", "too large"],
)
def test_a_bad_answer_is_an_error_that_says_why(reply: bytes, reason: str) -> None:
    with peer(reply) as port, pytest.raises(HttpError, match=reason):
        ask("127.0.0.1", port, "/", limit=1024)


def test_a_peer_that_drips_is_given_up_in_time() -> None:
    begun = time.monotonic()
    with peer(b"HTTP/1.1 200 OK\r\n", hold=5) as port, pytest.raises(HttpError, match="timed out"):
        ask("127.0.0.1", port, "/", seconds=0.3)
    assert time.monotonic() - begun < 2


def test_nobody_there_is_an_error_too() -> None:
    with pytest.raises(HttpError, match="refused"):
        ask("127.0.0.1", 1, "/")
    assert not connects("127.0.0.1", 1, seconds=1)


def test_the_server_answers_ordinary_clients() -> None:
    def handle(question: Question) -> Answer:
        return Answer(200, f"{question.method} {question.path} {question.peer}".encode())

    port = serve(0, handle, "127.0.0.1")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/a/b?c=d", timeout=5) as reply:
        assert reply.read() == b"GET /a/b 127.0.0.1"
    assert connects("127.0.0.1", port, seconds=1)
    assert ask("127.0.0.1", port, "/x", method="POST").body.startswith(b"POST /x")


def test_a_request_that_is_none_is_refused() -> None:
    port = serve(0, lambda _question: Answer(200, b""), "127.0.0.1")
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"hello\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
