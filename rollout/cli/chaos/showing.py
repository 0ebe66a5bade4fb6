"""Shows experiments and reports: reads, renders, prints; and waits where a command waits. The one place with a clock."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime

import yaml
from rich.console import RenderableType

from rollout.api.kinds import CHAOS_EXPERIMENT
from rollout.chaos.page import page
from rollout.cli.canary.view import printable
from rollout.cli.chaos import render
from rollout.cli.chaos.outcome import Exit, held_by, outcome, sentence
from rollout.cli.chaos.reading import (
    following,
    parse_report,
    read_all,
    read_experiment,
    read_report,
)
from rollout.cli.chaos.view import ExperimentView, view
from rollout.cli.printing import console, out, quiet
from rollout.cli.watching import live, live_list
from rollout.kube.client import Client

_HELD_SECONDS = 5.0
"""How long somebody is given to do what an experiment waits for."""


async def show(client: Client, namespace: str, name: str, output: str) -> None:
    """One experiment, once."""
    found = await read_experiment(client, namespace, name)
    out(render.whole(view(found), _now()), found, output)


async def show_all(client: Client, namespace: str | None, output: str) -> None:
    """All experiments, once."""
    found = await client.list(CHAOS_EXPERIMENT, namespace)
    if not found and output == "text":
        where = "any namespace" if namespace is None else f"namespace {namespace}"
        print(f"no ChaosExperiments in {where}")
        return
    table = render.listing(map(view, found), _now(), namespaces=namespace is None)
    out(table, list(found), output)


async def follow(client: Client, namespace: str, name: str) -> None:
    """A live picture at a terminal; elsewhere a line whenever the state changes."""
    quiet()
    async with following(client, namespace, name) as views:
        await live(views, render.line, lambda each: render.whole(each, _now()))


async def follow_all(client: Client, namespace: str | None) -> None:
    """A live list."""

    async def read() -> RenderableType:
        views = await read_all(client, namespace)
        return render.listing(views, _now(), namespaces=namespace is None)

    await live_list(read)


async def wait(
    client: Client, namespace: str, name: str, seconds: float, *, after_run: str | None = None
) -> int:
    """Until the run is over, saying each change; the exit code. `after_run`: the run before, which does not count.

    What others' runs hold is waited for; what waits for somebody to do something is not.
    """
    quiet()
    found, said = view(await read_experiment(client, namespace, name)), ""
    clock = asyncio.get_running_loop().time
    end, held = clock() + seconds, None
    with suppress(TimeoutError):
        async with asyncio.timeout_at(end) as limit, following(client, namespace, name) as views:
            async for found in views:
                gate = held_by(found)
                if gate is not held:
                    held = gate
                    stays = gate is not None and not gate.opens_by_itself
                    limit.reschedule(min(end, clock() + _HELD_SECONDS) if stays else end)
                if held is None and _is_before(found, after_run):
                    continue
                if held is None and outcome(found) is not Exit.UNDER_WAY:
                    break
                said = _say(found, said)
    if held is not None:
        print(f"{namespace}/{name} is held ({held}): {found.why}")
        return int(Exit.HELD)
    code = Exit.UNDER_WAY if _is_before(found, after_run) else outcome(found)
    late = f" (not over within {seconds:g} s)" if code is Exit.UNDER_WAY else ""
    print(sentence(found) + late)
    return int(code)


def _is_before(found: ExperimentView, run: str | None) -> bool:
    """Whether it still tells of the run that does not count."""
    return run is not None and found.run_id == run and not found.invalid


async def report(client: Client, namespace: str, name: str, output: str) -> str:
    """A report as text, as it is served, or as a page."""
    served = await read_report(client, namespace, name)
    match output:
        case "html":
            return page(parse_report(served))
        case "json":
            return json.dumps(served, indent=2, ensure_ascii=False) + "\n"
        case "yaml":
            return yaml.safe_dump(served, sort_keys=False, allow_unicode=True)
        case _:
            screen = console()
            with screen.capture() as captured:
                screen.print(render.report(parse_report(printable(served)).spec))
            return captured.get()


def _say(found: ExperimentView, said: str) -> str:
    """Print the state where it is another than what was said last; what was said last."""
    line = render.line(found)
    if line != said:
        print(line, flush=True)
    return line


def _now() -> datetime:
    return datetime.now(UTC)
