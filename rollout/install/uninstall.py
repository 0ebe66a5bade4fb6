"""Takes back what `rollout install` made, and says what it leaves.

Must not touch what carries no label of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rollout.api.kinds import (
    CANARY,
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    GATEWAY_CLASS,
    LEASE,
    NAMESPACE,
    SECRET,
    Kind,
)
from rollout.install.errors import InstallError
from rollout.install.inventory import KINDS, MANAGED_BY, RELEASE, SELECTOR, described, is_ours
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object, Objects
from rollout.kube.shards import GROUP
from rollout.mesh.ingest.gatewayapi.outcome import CONTROLLER
from rollout.mesh.reports import NAME as REPORTS

Say = Callable[[str], None]

WEBHOOK_SECRETS = ("rollout-controller-webhook", "rollout-mesh-webhook")
IDENTITY_SECRETS = ("istio-ca-secret", "rollout-mesh-roots")
MADE = (*((SECRET, name) for name in (*WEBHOOK_SECRETS, *IDENTITY_SECRETS)), (CONFIG_MAP, REPORTS))
"""What the processes made for themselves: their certificates and authority, and what they tell each other."""
ROOTS = f"{MANAGED_BY}={RELEASE},istio.io/config=true"
"""The mesh's roots, which it has put into every namespace."""
POLL_SECONDS = 0.3
STUCK_POLLS = 30
"""A CRD that is not gone after so many polls is touched: Kubernetes' cleanup of its objects, when another write came between,
looks again at the next event or at a resync minutes later."""
ASKED = "rollout.dev/removal-asked"


async def uninstall(
    client: Client,
    namespace: str,
    *,
    purge: bool,
    timeout: float,  # noqa: ASYNC109
    say: Say,
) -> int:
    """Remove the installation and wait until it is gone; returns how many objects that were.

    With `purge` the CRDs go first, and with them every object of their kinds, while the controller still runs
    and can take its finalizers away. `InstallError` where something does not go within `timeout` seconds.
    """
    removed = 0
    crds = await client.list(CUSTOM_RESOURCE_DEFINITION, label_selector=SELECTOR)
    if purge:
        removed += await _remove(client, CUSTOM_RESOURCE_DEFINITION, crds, timeout, say)
    else:
        await _say_what_stays(client, crds, say)
    for kind in reversed(KINDS):
        found = await client.list(kind, namespace if kind.namespaced else None, SELECTOR)
        removed += await _remove(client, kind, found, timeout, say)
    removed += await _made(client, namespace)
    removed += await _remove(
        client, LEASE, await client.list(LEASE, namespace, GROUP), timeout, say
    )
    roots = await client.list(CONFIG_MAP, label_selector=ROOTS)
    removed += await _remove(client, CONFIG_MAP, roots, timeout, say)
    removed += await _remove(client, GATEWAY_CLASS, await _classes(client), timeout, say)
    return removed + await _namespace(client, namespace, timeout, say)


async def _say_what_stays(client: Client, crds: Objects, say: Say) -> None:
    try:
        canaries = await client.list(CANARY)
    except NotFound:
        canaries = []
    if canaries:
        first = canaries[0]["metadata"]
        say(
            f"warning: {len(canaries)} Canary objects stay (such as {first['namespace']}/{first['name']}), "
            "with their primaries and routes as they are now; nothing moves them until rollout is back"
        )
    if crds:
        say(
            f"keeping {len(crds)} CustomResourceDefinitions and their objects; --purge removes them"
        )


async def _remove(client: Client, kind: Kind, found: Objects, timeout: float, say: Say) -> int:  # noqa: ASYNC109
    for obj in found:
        metadata = obj["metadata"]
        try:
            await client.delete(
                kind,
                metadata.get("namespace"),
                metadata["name"],
                uid=metadata["uid"],
                # Only a Deployment has others below it: its pods are to be gone, too.
                propagation="Foreground" if kind == DEPLOYMENT else "Background",
            )
        except NotFound:
            continue
        say(f"removing {described(obj)}")
    for obj in found:
        await _gone(client, kind, obj, timeout)
    return len(found)


async def _gone(client: Client, kind: Kind, obj: Object, timeout: float) -> None:  # noqa: ASYNC109
    metadata = obj["metadata"]
    served = obj
    polls = 0
    try:
        async with asyncio.timeout(timeout):
            while True:
                served = await client.get(kind, metadata.get("namespace"), metadata["name"])
                if served["metadata"]["uid"] != metadata["uid"]:
                    return
                polls += 1
                if kind == CUSTOM_RESOURCE_DEFINITION and polls % STUCK_POLLS == 0:
                    touched = {"metadata": {"annotations": {ASKED: str(polls)}}}
                    await client.patch(kind, None, metadata["name"], touched)
                await asyncio.sleep(POLL_SECONDS)
    except NotFound:
        return
    except TimeoutError:
        raise InstallError(
            f"{described(obj)} is still there after {timeout:g} s{_held(served)}: "
            "remove what holds it, or wait, and run the same command again"
        ) from None


def _held(obj: Object) -> str:
    """What keeps an object that is being deleted, as far as the object tells."""
    finalizers = obj["metadata"].get("finalizers", [])
    conditions = obj.get("status", {}).get("conditions", [])
    said = [
        f"{condition['type']}: {condition.get('message') or condition.get('reason')}"
        for condition in conditions
        if condition["type"] == "Terminating"
    ]
    parts = ([f"held by the finalizers {', '.join(finalizers)}"] if finalizers else []) + said
    return f" ({'; '.join(parts)})" if parts else ""


async def _classes(client: Client) -> Objects:
    """The GatewayClass of the mesh, which it has made where Gateway API is installed."""
    try:
        found = await client.list(GATEWAY_CLASS)
    except NotFound:
        return []
    return [each for each in found if each["spec"].get("controllerName") == CONTROLLER]


async def _made(client: Client, namespace: str) -> int:
    removed = 0
    for kind, name in MADE:
        try:
            await client.delete(kind, namespace, name)
            removed += 1
        except NotFound:
            continue
    return removed


async def _namespace(client: Client, name: str, timeout: float, say: Say) -> int:  # noqa: ASYNC109
    try:
        found = await client.get(NAMESPACE, None, name)
    except NotFound:
        return 0
    return await _remove(client, NAMESPACE, [found], timeout, say) if is_ours(found) else 0
