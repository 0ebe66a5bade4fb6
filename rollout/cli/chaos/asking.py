"""How commands reach the controller: through the experiment alone, and for all at once through one annotation."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rollout.api.chaos import HALT_ANNOTATION, RUN_ANNOTATION, ChaosExperiment
from rollout.api.errors import InvalidObject
from rollout.api.kinds import CHAOS_EXPERIMENT, NAMESPACE
from rollout.cli.chaos.reading import read_all, read_experiment
from rollout.cli.chaos.view import ExperimentView, view
from rollout.cli.errors import CommandFailed
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object

_POLL_SECONDS = 0.3


def load(path: Path, text: str, namespace: str) -> Object:
    """The one experiment in a file, in that namespace unless it names its own; CommandFailed where it cannot be run."""
    try:
        found = [
            each
            for each in yaml.safe_load_all(text)
            if isinstance(each, dict) and each.get("kind") == CHAOS_EXPERIMENT.kind
        ]
    except yaml.YAMLError as error:
        raise CommandFailed(f"{path} is not YAML: {error}") from error
    if len(found) != 1:
        raise CommandFailed(f"{path} has {len(found)} ChaosExperiments; give a file with one")
    metadata = {"namespace": namespace, **(found[0].get("metadata") or {})}
    experiment = {**found[0], "metadata": metadata}
    try:
        ChaosExperiment.parse(experiment)
    except InvalidObject as error:
        raise CommandFailed(str(error)) from error
    return experiment


async def begin(client: Client, experiment: Object) -> str:
    """Create it, or run it again as the file has it now; answers the run before, empty where there was none."""
    metadata = experiment["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    asked = {**(metadata.get("annotations") or {}), RUN_ANNOTATION: uuid.uuid4().hex[:8]}
    try:
        served = await client.get(CHAOS_EXPERIMENT, namespace, name)
    except NotFound:
        wanted = {**experiment, "metadata": {**metadata, "annotations": asked}}
        try:
            await client.create(CHAOS_EXPERIMENT, wanted)
        except NotFound as error:
            raise CommandFailed(
                f"{namespace}/{name} cannot be created: the namespace or the kind is not there;"
                " `rollout install` installs the kind"
            ) from error
        return ""
    found = view(served)
    if found.phase.is_active:
        raise CommandFailed(
            f"{namespace}/{name} is running ({found.phase});"
            f" stop it first: `rollout chaos stop {name} -n {namespace}`"
        )
    await client.replace(CHAOS_EXPERIMENT, _renewed(served, experiment, asked))
    return found.run_id


def _renewed(served: Object, experiment: Object, annotations: Mapping[str, str]) -> Object:
    metadata = dict(served["metadata"])
    labels = {**(metadata.get("labels") or {}), **(experiment["metadata"].get("labels") or {})}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    return {**served, "metadata": {**metadata, "labels": labels}, "spec": experiment["spec"]}


async def stop(client: Client, namespace: str, name: str, *, seconds: float) -> str:
    """End the run and keep new ones from beginning; says what came of it."""
    await read_experiment(client, namespace, name)
    await client.patch(CHAOS_EXPERIMENT, namespace, name, {"spec": {"engineState": "stop"}})

    async def running() -> list[ExperimentView]:
        found = view(await read_experiment(client, namespace, name))
        return [found] if found.phase.is_active else []

    left = await _ended(running, seconds)
    if left:
        raise CommandFailed(_unanswered(left, seconds))
    return f"{namespace}/{name} is stopped; `rollout chaos run` begins it again"


async def halt(client: Client, system_namespace: str, *, halted: bool, seconds: float) -> str:
    """Stop everything and keep it stopped, or allow runs again; says what came of it."""
    patch: dict[str, Any] = {
        "metadata": {"annotations": {HALT_ANNOTATION: "true" if halted else None}}
    }
    try:
        await client.patch(NAMESPACE, None, system_namespace, patch)
    except NotFound as error:
        raise CommandFailed(
            f"there is no namespace {system_namespace!r}; name that of the controller with --system-namespace"
        ) from error
    if not halted:
        return "experiments may run again"

    async def running() -> list[ExperimentView]:
        return [each for each in await read_all(client, None) if each.phase.is_active]

    left = await _ended(running, seconds)
    if left:
        raise CommandFailed(_unanswered(left, seconds))
    return "no experiment runs, and none begins before `rollout chaos resume`"


async def _ended(
    running: Callable[[], Awaitable[list[ExperimentView]]], seconds: float
) -> list[ExperimentView]:
    """What still runs after so many seconds; nothing as soon as nothing does."""
    deadline = time.monotonic() + seconds
    while (left := await running()) and time.monotonic() < deadline:  # noqa: ASYNC110 - it asks
        await asyncio.sleep(_POLL_SECONDS)
    return left


def _unanswered(left: list[ExperimentView], seconds: float) -> str:
    names = ", ".join(f"{each.namespace}/{each.name} ({each.phase})" for each in left)
    return (
        f"asked to stop, but not over within {seconds:g} s: {names}; without a controller their faults"
        " end by themselves within 5 s (`rollout check` says what is wrong)"
    )
