"""A small HTTP server in a thread: it remembers what it is asked and answers what a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Answered:
    """What to answer; `slow` is seconds before it, `headers` come on top."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    slow: float = 0.0


def reply(content: object = b"", status: int = 200, *, slow: float = 0.0) -> Answered:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answered(status, content.encode() if isinstance(content, str) else body, slow=slow)


class Server:
    """The server while it runs."""

    def __init__(self, answer: Callable[[Seen], Answered]) -> None:
        self.seen: list[Seen] = []
        self.answer = answer
        self.address = ""

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        seen = Seen(
            handler.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in handler.headers.items()},
            handler.rfile.read(int(handler.headers.get("Content-Length") or 0)),
            time.monotonic(),
        )
        self.seen.append(seen)
        answered = self.answer(seen)
        time.sleep(answered.slow)
        handler.send_response(answered.status)
        for name, value in answered.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answered.body)))
        handler.end_headers()
        handler.wfile.write(answered.body)


@contextmanager
def server(answer: Callable[[Seen], Answered]) -> Iterator[Server]:
    """Serves on a free port of the loopback."""
    made = Server(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, TimeoutError):  # the client had enough
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

        def _take(self) -> None:
            made.take(self)

        do_GET = do_POST = do_PUT = do_DELETE = _take  # noqa: N815 - the base class' names

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    made.address = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
