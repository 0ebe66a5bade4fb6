"""Flagger's load tester API, over HTTP, with real programs."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.build import build
from rollout.http.client import HttpClient, NoReplyError, Reply, Request
from rollout.loadtester.process import Options, run
from tests.unit.http.server import reply, server

PYTHON = sys.executable


class Client:
    def __init__(self, address: str, http: HttpClient) -> None:
        self.address, self.http = address, http

    async def post(self, path: str, body: Any = None, **metadata: str) -> Reply:
        payload = {"name": "podinfo", "namespace": "test", "phase": "Progressing"}
        if metadata:
            payload["metadata"] = metadata  # type: ignore[assignment]
        content = json.dumps(payload).encode() if body is None else body
        url = self.address + path
        return await self.http.send(Request(method="POST", url=url, body=content, timeout=30))

    async def run(self, program: str, type_: str = "bash", **metadata: str) -> Reply:
        """Run some Python."""
        return await self.post("/", type=type_, cmd=f'python -c "{program}"', **metadata)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Client]:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port = attempt.getsockname()[1]
    allowed = {"python": PYTHON, "gone": "/nowhere/at/all"}
    stop = asyncio.Event()
    running = asyncio.ensure_future(
        run(Options(**{"port": port, "allowed": allowed, **options}), stop)
    )
    async with HttpClient() as http:
        made = Client(f"http://127.0.0.1:{port}", http)
        await _until(lambda: _up(made))
        try:
            yield made
        finally:
            stop.set()
            await running


async def _until(holds: Callable[[], Any]) -> None:
    """Until it holds, which may be awaited for; not longer than ten seconds."""
    async with asyncio.timeout(10):
        while True:
            held = holds()
            if await held if isinstance(held, Awaitable) else held:
                return
            await asyncio.sleep(0.02)


async def _up(made: Client) -> bool:
    try:
        await made.http.send(Request(url=f"{made.address}/healthz"))
    except NoReplyError:
        return False
    return True


@pytest.mark.parametrize("area", ["gate", "rollback"])
async def test_gates(area: str) -> None:
    async with serving() as made:
        answers = []
        for verb in ("check", "open", "check", "close", "check"):
            got = await made.post(f"/{area}/{verb}")
            answers.append((got.status, got.text))
        assert answers == [
            (403, "Forbidden"),
            (202, ""),
            (200, "Approved"),
            (202, ""),
            (403, "Forbidden"),
        ]
        await made.post("/gate/open")
        other = json.dumps({"name": "other", "namespace": "test"}).encode()
        assert (await made.post("/gate/check", other)).status == 403
        assert (await made.post("/rollback/check")).status == 403, "another gate"


async def test_gates_that_never_move() -> None:
    async with serving() as made:
        assert (await made.post("/gate/approve")).text == "OK"
        assert (await made.post("/gate/halt")).status == 403


async def test_a_hook_that_waits_gets_the_end() -> None:
    async with serving() as made:
        silent = await made.run("print(1)")
        assert (silent.status, silent.text) == (200, "")
        told = await made.run("print(1)", returnCmdOutput="true")
        assert (told.status, told.text) == (200, "1\n")
        failed = await made.run("print(7); exit(3)")
        assert (failed.status, failed.text) == (500, "it ended with exit code 3 7")
        gone = await made.post("/", type="bash", cmd="gone")
        assert (gone.status, gone.text) == (500, "/nowhere/at/all: No such file or directory")


async def test_a_command_in_the_background_runs_once_at_a_time(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = f"open('{mark}','a').write('x'); import time; time.sleep(1)"
    async with serving() as made:
        for _ in range(3):
            assert (await made.run(program, "cmd")).status == 202
        await _until(mark.exists)
        assert mark.read_text() == "x"
        page = await made.http.send(Request(url=f"{made.address}/metrics"))
        assert "rollout_loadtester_running 1.0" in page.text
        assert 'rollout_loadtester_tasks_total{result="202"} 3.0' in page.text


async def test_programs_end_with_their_children_when_their_time_is_up(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    child = f"import time; time.sleep(2); open('{mark}','w')"
    program = f"import subprocess,sys; subprocess.run([sys.executable,'-c',\\\"{child}\\\"])"
    async with serving(timeout=timedelta(seconds=0.5)) as made:
        got = await made.run(program)
        assert (got.status, got.text) == (500, "it ran longer than 0.5s and was ended")
        await asyncio.sleep(2)
    assert not mark.exists()


async def test_programs_see_no_secrets_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", "s3cret")
    async with serving() as made:
        got = await made.run("import os; print(sorted(os.environ))", returnCmdOutput="true")
        assert "PATH" in got.text
        assert "SLACK_TOKEN" not in got.text


async def test_much_output_keeps_its_end() -> None:
    async with serving() as made:
        got = await made.run("print('x'*300000); print('end')", returnCmdOutput="true")
        assert got.text.endswith("end\n")
        assert len(got.body) == 64 << 10


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"nonsense", "not JSON"),
        (b"[]", "not a hook's payload"),
        (b'{"metadata": {"cmd": 1}}', "not a hook's payload"),
        (b"{}", "metadata not found in payload"),
        (b" " * (257 << 10), "larger than"),
    ],
)
async def test_bodies_that_are_no_hooks(body: bytes, words: str) -> None:
    async with serving() as made:
        got = await made.post("/", body)
        assert got.status == 400
        assert words in got.text


async def test_only_some_namespaces() -> None:
    async with serving(namespace_regexp="^prod-") as made:
        for path in ("/", "/gate/check", "/gate/open"):
            assert (await made.post(path, type="bash", cmd="python -V")).status == 403


async def test_fortio_makes_load() -> None:
    fortio = str(build("fortio"))
    with server(lambda _: reply("hello")) as target:
        async with serving(allowed={"fortio": fortio}) as made:
            command = f"fortio load -c 2 -qps 50 -n 20 -quiet {target.address}/"
            got = await made.post("/", type="bash", cmd=command, returnCmdOutput="true")
    assert got.status == 200, got.text
    assert "Code 200 : 20 (100.0 %)" in got.text
    assert len(target.seen) >= 20
