from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from rollout.mesh.agent.grpcprobe import serving
from rollout.mesh.agent.probes import answer, parse

STATUS = {"": 1, "catalog": 1, "late": 2, "unsaid": 0}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real gRPC server with the health service."""

    def check(data: bytes, context: Any) -> bytes:
        name = data[2:].decode()
        if name not in STATUS:
            context.abort(grpc.StatusCode.NOT_FOUND, name)
        return bytes([8, STATUS[name]]) if STATUS[name] else b""

    server = grpc.server(ThreadPoolExecutor(2))
    method: Any = grpc.unary_unary_rpc_method_handler(check)
    handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})
    server.add_generic_rpc_handlers((handler,))
    found = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found
    server.stop(None)


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        ("", ""),
        ("catalog", ""),
        ("late", "says status 2"),
        ("unsaid", "says status 0"),
        ("nobody", "answers with an error"),
    ],
)
def test_the_service_says_whether_it_serves(port: int, service: str, problem: str) -> None:
    found = serving("127.0.0.1", port, service, seconds=10)
    assert found == "" if not problem else problem in found


def test_nobody_there_is_said() -> None:
    assert "refused" in serving("127.0.0.1", 1, "", seconds=1)


def test_who_speaks_something_else_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert serving("127.0.0.1", listener.getsockname()[1], "", seconds=10)
        speaker.join()


def test_the_kubelet_is_answered(port: int) -> None:
    text = f'{{"/app-health/a/livez": {{"grpc": {{"port": {port}, "service": "late"}}}},'
    text += f'"/app-health/a/readyz": {{"grpc": {{"port": {port}}}}}}}'
    probes = parse(text)
    assert answer(probes["/app-health/a/livez"], "127.0.0.1").status == 500
    assert answer(probes["/app-health/a/readyz"], "127.0.0.1").status == 200
