"""Load by the real Fortio on a real server: its figures, its bounds, and what is said when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.build import build
from rollout.api.chaos import FortioLoad
from rollout.chaos.load import FortioRun, LoadFailed, arguments
from rollout.chaos.loadresult import LoadResult, UnreadableResultError
from tests.unit.http.server import Server, reply, server

URL = "http://shop.shop:80"


@pytest.fixture(scope="session")
def fortio() -> str:
    return str(build("fortio"))


def load(**fields: Any) -> FortioLoad:
    return FortioLoad.model_validate(fields)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"qps": 50, "connections": 8}, "-qps 50 -c 8 -t 5s"),
        ({"timeout": "200ms"}, "-timeout 0.2s"),
        ({"uniform": True}, "-uniform"),
        ({"headers": {"Host": "shop.example"}, "payload": "a b"}, "-payload a b -H Host: shop.exa"),
        ({"grpc": True}, "-grpc -ping shop.shop:80"),
        ({}, "-allow-initial-errors -nocatchup http://shop.shop:80"),
    ],
    ids=str,
)
def test_a_load_as_fortio_is_told(spec: dict[str, Any], words: str) -> None:
    command = arguments(load(**spec), URL, 5)
    assert command[:2] == ("fortio", "load")
    assert words in " ".join(command)


async def test_the_figures_are_fortios_own(fortio: str) -> None:
    answers = cycle([reply(b"well"), reply(b"not well", status=503)])
    with server(lambda _: next(answers)) as asked:
        wanted = load(qps=40, connections=2, headers={"x-load": "chaos"})
        async with FortioRun(wanted, asked.address, 1, program=fortio) as run:
            result = await run.result()
            assert run.done
    assert 20 <= result.requests == sum(result.codes.values()) <= 40
    assert set(result.codes) == {"200", "503"}
    assert result.failed == result.codes["503"]
    assert result.error_ratio == result.figure("errorRatio") == result.failed / result.requests
    assert sum(bucket.count for bucket in result.histogram) == result.requests
    assert result.histogram[-1].percent == 100
    assert 0 < (result.figure("p50") or 0) <= (result.figure("p99.9") or 0) <= result.longest
    assert 15 < (result.figure("qps") or 0) < 50
    assert LoadResult.of(json.loads(json.dumps(result.kept))) == result
    assert {each.headers["x-load"] for each in asked.seen} == {"chaos"}


async def sent(asked: Server, count: int) -> None:
    async with asyncio.timeout(30):
        while len(asked.seen) < count:  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0.02)


async def test_who_stops_it_gets_the_figures_so_far(fortio: str) -> None:
    with server(lambda _: reply(b"well")) as asked:
        async with FortioRun(load(qps=50), asked.address, 600, program=fortio) as run:
            await sent(asked, 20)
            run.stop()
            result = await run.result()
            assert 0 < result.requests < 30_000
            assert result.failed == 0


async def test_nobody_who_answers_is_a_result_as_well(fortio: str) -> None:
    async with FortioRun(load(qps=20), "http://127.0.0.1:9", 1, program=fortio) as run:
        result = await run.result()
    assert result.codes == {"-1": result.requests}
    assert result.error_ratio == 1


async def test_leaving_ends_it(fortio: str) -> None:
    with server(lambda _: reply(b"well")) as asked:
        async with FortioRun(load(qps=100), asked.address, 600, program=fortio) as run:
            await sent(asked, 10)
        assert run.done
        count = len(asked.seen)
        await asyncio.sleep(0.3)
        assert len(asked.seen) <= count + 8


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'out of memory' >&2; exit 2", "it ended with exit code 2: out of memory"),
        ("kill -9 $$", "it was ended by SIGKILL"),
        ("echo hello", "what Fortio wrote is not JSON"),
        ("echo '[]'", "not a JSON object"),
        ("echo '{}'", "not a result of Fortio: KeyError('DurationHistogram')"),
        ("head -c 2000000 /dev/zero", "larger than 1048576 bytes"),
    ],
    ids=lambda text: str(text)[:20],
)
async def test_a_fortio_that_dies_is_an_error_in_its_words(
    tmp_path: Path, script: str, said: str
) -> None:
    program = tmp_path / "fortio"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(stat.S_IRWXU)
    async with FortioRun(load(), URL, 1, program=str(program)) as run:
        with pytest.raises(LoadFailed) as error:
            await run.result()
    assert said in str(error.value)


async def test_a_fortio_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LoadFailed, match="fortio cannot be started: No such file or directory"):
        async with FortioRun(load(), URL, 1, environment={**os.environ, "PATH": "/nowhere"}):
            pass


def test_a_result_of_nothing_has_no_figures() -> None:
    empty = {
        "ActualQPS": 0,
        "RequestedQPS": "5",
        "ActualDuration": 0,
        "DurationHistogram": {"Count": 0, "Avg": 0, "Max": 0, "Data": None},
    }
    result = LoadResult.of(empty)
    assert [result.figure(each) for each in ("p99", "avg", "max", "errorRatio")] == [None] * 4
    with pytest.raises(UnreadableResultError):
        LoadResult.of({**empty, "DurationHistogram": {"Count": "many"}})
