"""What else drives the same routes in this cluster: an Istio, which the bundled mesh must not be put beside.

Reads; must not change anything.
"""

from __future__ import annotations

from rollout.api.kinds import (
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    MUTATING_WEBHOOK,
    VIRTUAL_SERVICE,
)
from rollout.install.errors import InstallError
from rollout.install.inventory import described, is_ours
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object, labels_of

_CRD = f"{VIRTUAL_SERVICE.plural}.{VIRTUAL_SERVICE.group}"


async def refuse_if_unfit(client: Client, mesh_mode: str) -> None:
    """Raise `InstallError` where the mode does not fit the cluster: a second mesh, or none where one is expected."""
    if mesh_mode == "bundled" and (found := await find_istio(client)):
        raise InstallError(
            f"this cluster has an Istio already ({found}), and two meshes would fight over the same "
            "routes and pods: install with --mesh existing to drive that one, or remove it first"
        )
    if mesh_mode != "bundled" and await _crd(client) is None:
        raise InstallError(
            f"there is no Istio in this cluster (no CustomResourceDefinition {_CRD}), and the controller "
            f"routes by it: with --mesh {mesh_mode} install Istio first, or use --mesh bundled"
        )


async def find_istio(client: Client) -> str:
    """The first sign of an Istio that is not ours, as a message names it; empty when there is none."""
    for deployment in await client.list(DEPLOYMENT, label_selector="app=istiod"):
        return described(deployment)
    for webhook in await client.list(MUTATING_WEBHOOK):
        if webhook["metadata"]["name"].startswith("istio-sidecar-injector") and not is_ours(
            webhook
        ):
            return described(webhook)
    crd = await _crd(client)
    return described(crd) if crd is not None and _is_istios(crd) else ""


async def _crd(client: Client) -> Object | None:
    try:
        return await client.get(CUSTOM_RESOURCE_DEFINITION, None, _CRD)
    except NotFound:
        return None


def _is_istios(crd: Object) -> bool:
    """Istio's charts and istioctl label their CRDs so; one that somebody only applied carries nothing."""
    labels = labels_of(crd)
    return labels.get("app") == "istio-pilot" or labels.get("chart") == "istio"
