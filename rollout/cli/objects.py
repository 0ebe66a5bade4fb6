"""Objects for an analysis: those of a cluster, with those of files laid over them as `kubectl apply` would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from rollout.api.kinds import (
    DESTINATION_RULE,
    GATEWAY,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    KUBERNETES_GATEWAY,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    REFERENCE_GRANT,
    SERVICE,
    SERVICE_ENTRY,
    SIDECAR,
    TELEMETRY,
    VIRTUAL_SERVICE,
    WORKLOAD_ENTRY,
)
from rollout.cli.errors import CommandFailed
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Objects

Json = dict[str, Any]

_KINDS = (
    NAMESPACE,
    SERVICE,
    POD,
    GATEWAY,
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    SERVICE_ENTRY,
    WORKLOAD_ENTRY,
    SIDECAR,
    PEER_AUTHENTICATION,
    TELEMETRY,
    GATEWAY_CLASS,
    KUBERNETES_GATEWAY,
    HTTP_ROUTE,
    GRPC_ROUTE,
    REFERENCE_GRANT,
)


def of_file(path: Path) -> list[Json]:
    """The objects of a YAML file, Lists taken apart. CommandFailed where it cannot be read."""
    try:
        documents = list(yaml.safe_load_all(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandFailed(f"{path}: {error}") from error
    found = [
        item
        for document in documents
        if isinstance(document, dict)
        for item in (document.get("items") or () if document.get("kind") == "List" else [document])
    ]
    for item in found:
        if not isinstance(item, dict) or not (item.get("metadata") or {}).get("name"):
            raise CommandFailed(f"{path}: an object without kind and metadata.name")
    return found


async def of_cluster(client: Client) -> list[Json]:
    """Every object that says something of the mesh; kinds that are not installed have none."""
    listed = await asyncio.gather(*(_listed(client, kind) for kind in _KINDS))
    return [obj for each in listed for obj in each]


def laid_over(given: Iterable[Json], served: Iterable[Json], namespace: str) -> list[Json]:
    """All objects, those given in the place of those of the same name; without a namespace they go to `namespace`."""
    found = {_key(obj): obj for obj in served}
    for obj in given:
        placed = {**obj, "metadata": {"namespace": namespace, **obj["metadata"]}}
        found[_key(placed)] = placed
    return list(found.values())


def _key(obj: Json) -> tuple[str, str, str, str]:
    metadata, group = obj["metadata"], str(obj.get("apiVersion")).partition("/")[0]
    return group, str(obj.get("kind")), str(metadata.get("namespace", "")), str(metadata["name"])


async def _listed(client: Client, kind: Any) -> Objects:
    try:
        return await client.list(kind)
    except NotFound:
        return []
