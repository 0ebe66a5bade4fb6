"""Waits for what was applied to work, says what it waits for, and in the end why it does not.

Must not change anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rollout.api.kinds import CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, POD
from rollout.install.errors import InstallError
from rollout.install.inventory import described, kind_of
from rollout.kube.client import Client
from rollout.kube.errors import NotFound, Unavailable
from rollout.kube.objects import Object, Objects

Say = Callable[[str], None]

POLL_SECONDS = 0.3


async def established(client: Client, crds: Objects, *, timeout: float) -> None:  # noqa: ASYNC109
    """Until the API server serves every CRD."""
    for crd in crds:
        name = crd["metadata"]["name"]
        state = "not seen yet"
        try:
            async with asyncio.timeout(timeout):
                while state != "True":
                    state = await _condition(client, name)
                    await asyncio.sleep(0 if state == "True" else POLL_SECONDS)
        except TimeoutError:
            raise InstallError(
                f"CustomResourceDefinition {name} is not established after {timeout:g} s ({state}): "
                f"kubectl describe crd {name} says why"
            ) from None


async def available(client: Client, deployments: Objects, *, timeout: float, say: Say) -> None:  # noqa: ASYNC109
    """Until every Deployment has all its pods ready in the version that was applied."""
    told: dict[str, str] = {}
    try:
        async with asyncio.timeout(timeout):
            while missing := await _missing(client, deployments):
                for name, text in missing.items():
                    if told.get(name) != text:
                        say(f"waiting for {name}: {text}")
                told = missing
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        name, text = next(iter(told.items()), ("the API server", "no answer"))
        raise InstallError(
            f"{name} is not ready after {timeout:g} s: {text}; mend it and run the same command again"
        ) from None


async def trusted(client: Client, webhooks: Objects, *, timeout: float, say: Say) -> None:  # noqa: ASYNC109
    """Until the servers of the webhooks have put their authority there."""
    for webhook in webhooks:
        said = False
        try:
            async with asyncio.timeout(timeout):
                while not await _has_authority(client, webhook):
                    if not said:
                        say(f"waiting for {described(webhook)}: its server has not signed it yet")
                        said = True
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise InstallError(
                f"{described(webhook)} has no certificate authority after {timeout:g} s: "
                "the log of the pods that serve it says why"
            ) from None


async def _condition(client: Client, crd: str) -> str:
    try:
        found = await client.get(CUSTOM_RESOURCE_DEFINITION, None, crd)
    except (NotFound, Unavailable) as error:
        return str(error)
    conditions = (found.get("status") or {}).get("conditions") or ()
    by_type = {condition["type"]: condition for condition in conditions}
    accepted = by_type.get("NamesAccepted", {})
    if accepted.get("status") == "False":
        return str(accepted.get("message"))
    return str(by_type.get("Established", {}).get("status"))


async def _missing(client: Client, deployments: Objects) -> dict[str, str]:
    missing = {}
    for deployment in deployments:
        metadata = deployment["metadata"]
        try:
            served = await client.get(DEPLOYMENT, metadata["namespace"], metadata["name"])
        except Unavailable as error:
            missing[described(deployment)] = str(error)
            continue
        if not complete(served):
            missing[described(deployment)] = await reason(client, served)
    return missing


def complete(deployment: Object) -> bool:
    """Whether all pods of the newest version are ready and no others are left."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
    )


async def reason(client: Client, deployment: Object) -> str:
    """What keeps the first pod that is not ready, or how many pods are."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    status = deployment.get("status") or {}
    count = f"{status.get('availableReplicas', 0)} of {deployment['spec'].get('replicas', 1)} ready"
    for pod in await client.list(POD, deployment["metadata"]["namespace"], selector):
        if problem := pod_problem(pod):
            return f"{count}; pod {pod['metadata']['name']}: {problem}"
    return count


def pod_problem(pod: Object) -> str:
    """Why a pod does not run, in the kubelet's or the scheduler's words; empty while it is merely starting."""
    status: dict[str, Any] = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", "not scheduled"))
    for container in [
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{container['name']}: {waiting['reason']} {waiting.get('message', '')}".strip()
    return ""


async def _has_authority(client: Client, webhook: Object) -> bool:
    try:
        served = await client.get(kind_of(webhook), None, webhook["metadata"]["name"])
    except Unavailable:
        return False
    return all(hook["clientConfig"].get("caBundle") for hook in served.get("webhooks") or ())
