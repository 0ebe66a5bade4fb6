"""Bounds of the one HTTP client: time, size, redirects, cookies, and what a request shows of itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from rollout.http.client import LARGEST_REPLY, HttpClient, NoReplyError, Request
from tests.unit.http.server import Answered, Seen, reply, server


async def _send(answer: Answered, **wanted: object) -> tuple[object, list[Seen]]:
    with server(lambda _: answer) as running:
        async with HttpClient() as client:
            try:
                got: object = await client.send(Request(url=f"{running.address}/x", **wanted))  # type: ignore[arg-type]
            except NoReplyError as error:
                got = str(error)
        return got, running.seen


async def test_a_request_arrives_as_it_was_written() -> None:
    _, seen = await _send(
        reply("fine"),
        method="POST",
        headers=(("X-Two", "1"), ("X-Two", "2")),
        params=(("a", "1 2"), ("b", "")),
        body=b"text",
        basic=("me", "pass"),
    )
    assert (seen[0].method, seen[0].params, seen[0].body) == (
        "POST",
        {"a": "1 2", "b": ""},
        b"text",
    )
    assert seen[0].headers["authorization"] == "Basic bWU6cGFzcw=="
    assert seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "wanted", "words"),
    [
        pytest.param(reply(slow=5), {"timeout": 0.2}, "no answer within 0.2s", id="slow"),
        pytest.param(reply(b"x" * (LARGEST_REPLY + 1)), {}, "larger than", id="large"),
    ],
)
async def test_too_much_is_no_reply(answer: Answered, wanted: dict[str, float], words: str) -> None:
    began = time.monotonic()
    got, _ = await _send(answer, **wanted)
    assert words in str(got)
    assert time.monotonic() - began < 3


async def test_redirects_are_answers_and_cookies_are_forgotten() -> None:
    moved = Answered(302, b"", {"Location": "http://127.0.0.1:1/", "Set-Cookie": "a=b"})
    with server(lambda _: moved) as running:
        async with HttpClient() as client:
            for _ in range(2):
                assert (await client.send(Request(url=running.address))).status == 302
    assert ["cookie" in seen.headers for seen in running.seen] == [False, False]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "http://[::", "ftp://x/"])
async def test_addresses_that_lead_nowhere(url: str) -> None:
    async with HttpClient() as client:
        with pytest.raises(NoReplyError):
            await client.send(Request(url=url))


async def test_waiting_for_a_free_place_counts_against_the_time() -> None:
    with server(lambda _: reply(slow=0.6)) as running:
        async with HttpClient(most_at_once=1) as client:
            first = asyncio.ensure_future(client.send(Request(url=running.address)))
            await asyncio.sleep(0.05)
            with pytest.raises(NoReplyError, match="within"):
                await client.send(Request(url=running.address, timeout=0.2))
            assert (await first).status == 200


def test_nothing_secret_shows() -> None:
    shown = repr(
        Request(
            url="http://u:secret@x/",
            headers=(("A", "secret"),),
            body=b"secret",
            basic=("u", "secret"),
            proxy="http://secret",
        )
    )
    assert "secret" not in shown
