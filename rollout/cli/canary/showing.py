"""Shows canaries: reads, renders, prints; and waits where a command waits. The one place with a console and a clock."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType

from rollout.cli.canary import render
from rollout.cli.canary.explain import explain
from rollout.cli.canary.outcome import Exit, outcome, sentence
from rollout.cli.canary.reading import following, read_all, read_one
from rollout.cli.canary.view import CanaryView
from rollout.cli.printing import jsonable, out, quiet
from rollout.cli.watching import live, live_list
from rollout.kube.client import Client


async def show(client: Client, namespace: str, name: str, output: str) -> None:
    """One canary, once."""
    view = await read_one(client, namespace, name)
    out(render.tree(view, _now()), _plain(view), output)


async def show_all(client: Client, namespace: str | None, output: str) -> None:
    """All canaries, once."""
    views = await read_all(client, namespace)
    if not views and output == "text":
        print(
            f"no Canaries in {'any namespace' if namespace is None else f'namespace {namespace}'}"
        )
        return
    table = render.listing(views, _now(), namespaces=namespace is None)
    out(table, [_plain(view) for view in views], output)


async def past(client: Client, namespace: str, name: str, output: str) -> None:
    """The last rollouts."""
    view = await read_one(client, namespace, name)
    out(render.history(view, _now()), _plain(view)["history"], output)


async def explained(client: Client, namespace: str, name: str) -> None:
    """Why it is where it is."""
    view = await read_one(client, namespace, name)
    for each in explain(view, _now()):
        print(each)


async def follow(client: Client, namespace: str, name: str) -> None:
    """A live tree at a terminal; elsewhere a line whenever the state changes."""
    quiet()
    async with following(client, namespace, name) as views:
        await live(views, render.line, lambda view: render.tree(view, _now()))


async def follow_all(client: Client, namespace: str | None) -> None:
    """A live list."""

    async def read() -> RenderableType:
        views = await read_all(client, namespace)
        return render.listing(views, _now(), namespaces=namespace is None)

    await live_list(read)


async def wait(client: Client, namespace: str, name: str, seconds: float) -> int:
    """Until nothing is under way any more, saying each change; the exit code."""
    quiet()
    view, said = await read_one(client, namespace, name), ""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), following(client, namespace, name) as views:
            async for view in views:
                if outcome(view) is not Exit.UNDER_WAY:
                    break
                if (line := render.line(view)) != said:
                    said = line
                    print(line, flush=True)
    code = outcome(view)
    late = f" (not ended within {seconds:g} s)" if code is Exit.UNDER_WAY else ""
    print(sentence(view) + late)
    return int(code)


def _plain(view: CanaryView) -> Any:
    return jsonable(asdict(view))


def _now() -> datetime:
    return datetime.now(UTC)
