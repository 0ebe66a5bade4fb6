"""How commands reach the controller: through the Canary alone, so that who may patch it may steer it.

Pausing is `spec.suspend`; promote, abort and retry are an annotation that the controller answers once, in the status.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress

from rollout.api.canary.status import Phase
from rollout.api.kinds import CANARY
from rollout.cli.canary.reading import following, read_canary
from rollout.cli.errors import CommandFailed
from rollout.delivery.phases.commands import COMMAND, Verb, refusal
from rollout.delivery.records import CommandRecord
from rollout.delivery.status import Status
from rollout.kube.client import Client


async def ask(client: Client, namespace: str, name: str, verb: Verb, *, seconds: float) -> str:
    """Ask, wait for the answer for so long, and say it; CommandFailed where it makes no sense or is refused."""
    canary = await read_canary(client, namespace, name)
    status, shown = Status.parse(canary.get("status")), f"{name}.{namespace}"
    if reason := refusal(verb, shown, status.phase):
        raise CommandFailed(reason)
    if (canary.get("spec") or {}).get("suspend"):
        raise CommandFailed(
            f"cannot {verb} {shown}: it is paused (possible now: `rollout resume {name}`)"
        )
    text = f"{verb}@{uuid.uuid4().hex[:12]}"
    patch = {"metadata": {"annotations": {COMMAND: text}}}
    await client.patch(CANARY, namespace, name, patch)
    answer = await _answer(client, namespace, name, text, seconds)
    if answer is None:
        return _unanswered(verb, shown, status.phase, seconds)
    if not answer.done:
        raise CommandFailed(answer.message)
    return answer.message


async def suspend(client: Client, namespace: str, name: str, *, suspended: bool) -> str:
    """Pause or resume, and say what came of it."""
    canary = await read_canary(client, namespace, name)
    status, shown = Status.parse(canary.get("status")), f"{name}.{namespace}"
    word = "paused" if suspended else "going on"
    if bool((canary.get("spec") or {}).get("suspend")) == suspended:
        return f"{shown} is {word} already"
    await client.patch(CANARY, namespace, name, {"spec": {"suspend": suspended}})
    share = f", the canary keeps {status.canary_weight}% of the requests" if suspended else ""
    return f"{shown} is {word}{share if status.canary_weight else ''}"


async def _answer(
    client: Client, namespace: str, name: str, text: str, seconds: float
) -> CommandRecord | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), following(client, namespace, name) as views:
            async for view in views:
                if view.command is not None and view.command.id == text:
                    return view.command
    return None


def _unanswered(verb: Verb, name: str, phase: Phase, seconds: float) -> str:
    if verb is Verb.PROMOTE:
        return f"{name} is promoted as soon as the pods of its new revision are ready"
    raise CommandFailed(
        f"no controller has answered within {seconds:g} s: {name} is {phase} still, and is asked to"
        f" {verb} as soon as one does (`rollout check` says what is wrong)"
    )
