"""Installs: CRDs, then everything else by server-side apply, then what an earlier version left is taken away.

Run again it changes nothing. Must not know how the objects came about.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from rollout.api.kinds import CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, NAMESPACE, Kind
from rollout.install import waiting
from rollout.install.chart import Rendered
from rollout.install.errors import InstallError
from rollout.install.inventory import (
    FIELD_MANAGER,
    INSTANCE,
    KINDS,
    MANAGED_BY,
    OURS,
    RELEASE,
    SELECTOR,
    described,
    is_ours,
    kind_of,
)
from rollout.install.waiting import Say
from rollout.kube.client import Client, Patch
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object, labels_of, version_of

CRD_SECONDS = 30.0


@dataclass(slots=True)
class Summary:
    """What an installation did, by the objects' names."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)


async def install(client: Client, rendered: Rendered, *, say: Say) -> Summary:
    """Apply everything and prune; returns before anything is ready (see `wait`)."""
    summary = Summary()
    await _refuse_if_helms(client, rendered.namespace)
    await _crds(client, rendered, summary, say)
    await _namespace(client, rendered.namespace, summary)
    for obj in rendered.objects:
        await _apply(client, kind_of(obj), obj, summary)
    await _prune(client, rendered, summary)
    for name in (*summary.created, *summary.changed):
        say(f"{'created' if name in summary.created else 'changed'} {name}")
    for name in summary.pruned:
        say(f"removed {name}, which this version no longer has")
    return summary


async def wait(client: Client, rendered: Rendered, *, timeout: float, say: Say) -> None:  # noqa: ASYNC109
    """Until everything runs and the webhooks can be called; `InstallError` says what does not."""
    by_kind: dict[str, list[Object]] = {}
    for obj in rendered.objects:
        by_kind.setdefault(obj["kind"], []).append(obj)
    begun = asyncio.get_running_loop().time()
    await waiting.available(client, by_kind.get(DEPLOYMENT.kind, []), timeout=timeout, say=say)
    webhooks = [obj for obj in rendered.objects if obj["kind"].endswith("WebhookConfiguration")]
    left = max(5.0, timeout - (asyncio.get_running_loop().time() - begun))
    await waiting.trusted(client, webhooks, timeout=left, say=say)


async def _refuse_if_helms(client: Client, namespace: str) -> None:
    try:
        deployment = await client.get(DEPLOYMENT, namespace, "rollout-controller")
    except NotFound:
        return
    if labels_of(deployment).get(MANAGED_BY) == "Helm":
        release = labels_of(deployment).get(INSTANCE, RELEASE)
        raise InstallError(
            f"rollout was installed here by Helm: helm upgrade {release} -n {namespace} changes it, "
            f"helm uninstall {release} -n {namespace} removes it"
        )


async def _crds(client: Client, rendered: Rendered, summary: Summary, say: Say) -> None:
    for crd in rendered.crds:
        name = crd["metadata"]["name"]
        try:
            served = await client.get(CUSTOM_RESOURCE_DEFINITION, None, name)
        except NotFound:
            served = None
        if served is not None and not is_ours(served):
            say(f"keeping CustomResourceDefinition {name}: somebody else installed it")
            continue
        labels = {**labels_of(crd), **OURS}
        owned = {**crd, "metadata": {**crd["metadata"], "labels": labels}}
        await _apply(client, CUSTOM_RESOURCE_DEFINITION, owned, summary)
    await waiting.established(client, rendered.crds, timeout=CRD_SECONDS)


async def _namespace(client: Client, name: str, summary: Summary) -> None:
    """Made where there is none; one that was there is somebody's, and stays as it is."""
    try:
        if not is_ours(await client.get(NAMESPACE, None, name)):
            return
    except NotFound:
        pass
    await _apply(
        client,
        NAMESPACE,
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": OURS},
        },
        summary,
    )


async def _apply(client: Client, kind: Kind, obj: Object, summary: Summary) -> None:
    metadata = obj["metadata"]
    namespace, name = metadata.get("namespace"), metadata["name"]
    try:
        before = version_of(await client.get(kind, namespace, name))
    except NotFound:
        before = None
    after = await client.patch(
        kind,
        namespace,
        name,
        obj,
        content_type=Patch.APPLY,
        field_manager=FIELD_MANAGER,
        force=True,
    )
    if before is None:
        summary.created.append(described(obj))
    elif before == version_of(after):
        summary.unchanged.append(described(obj))
    else:
        summary.changed.append(described(obj))


async def _prune(client: Client, rendered: Rendered, summary: Summary) -> None:
    wanted = {described(obj) for obj in rendered.objects}
    for kind in reversed(KINDS):
        namespace = rendered.namespace if kind.namespaced else None
        for obj in await client.list(kind, namespace, SELECTOR):
            if described(obj) not in wanted:
                await client.delete(
                    kind,
                    namespace,
                    obj["metadata"]["name"],
                    uid=obj["metadata"]["uid"],
                    propagation="Background",
                )
                summary.pruned.append(described(obj))
