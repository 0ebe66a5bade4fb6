"""Writes, and only what differs; what the server answers goes into the stores, so that the next look sees it.

Knows how to bring one object to a desired state; not which state, nor in which order.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Protocol

from rollout.api.kinds import Kind
from rollout.kube.client import Client
from rollout.kube.diff import exact_patch, merge_patch
from rollout.kube.errors import AlreadyExists, NotFound
from rollout.kube.objects import Object, key_of, uid_of
from rollout.kube.store import Store


class Stores(Protocol):
    """Where answers go: `Cache` is one."""

    def stores(self, kind: Kind) -> list[Store]:
        """The stores that hold objects of a kind."""
        ...


class Writer:
    """Creates, patches and deletes; every method raises a `KubeError` that the caller answers by looking again."""

    def __init__(self, client: Client, stores: Stores) -> None:
        self._client, self._stores = client, stores

    async def apply(
        self,
        kind: Kind,
        desired: Object,
        observed: Object | None,
        exact: Collection[str] = (),
    ) -> Object:
        """Make the server's object cover `desired`, and answer it; nothing is sent where it does already.

        `observed` is the object as last seen, None to create it. What counts as a difference, and what `exact` paths
        are, see `rollout.kube.diff.merge_patch`. Where `desired` has a resource version, what is sent has it, too, and
        `Conflict` is raised where the object has moved on.
        """
        if observed is None:
            try:
                return self._keep(kind, await self._client.create(kind, _creatable(kind, desired)))
            except AlreadyExists:
                observed = self._keep(kind, await self._client.get(kind, *key_of(desired)))
        patch = merge_patch(desired, observed, exact)
        if not patch:
            return observed
        if version := desired["metadata"].get("resourceVersion"):
            patch.setdefault("metadata", {})["resourceVersion"] = version
        try:
            return self._keep(kind, await self._client.patch(kind, *key_of(observed), patch))
        except NotFound:
            return self._keep(kind, await self._client.create(kind, _creatable(kind, desired)))

    async def patch_status(self, kind: Kind, obj: Object, status: Object) -> Object:
        """Make the object's status exactly `status`, provided that it is still at the version of `obj`.

        Nothing is sent where it is so already. Raises `Conflict` where the object has changed since: observe again.
        """
        patch = exact_patch({"status": status}, {"status": obj.get("status") or {}})
        if not patch:
            return obj
        patch["metadata"] = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        key = key_of(obj)
        return self._keep(kind, await self._client.patch(kind, *key, patch, subresource="status"))

    async def delete(self, kind: Kind, obj: Object, propagation: str | None = None) -> None:
        """Delete this very instance; that it is gone already is fine."""
        try:
            answer = await self._client.delete(kind, *key_of(obj), uid_of(obj), propagation)
        except NotFound:
            return
        if answer.get("kind") == kind.kind:  # it waits for finalizers or for its grace period
            self._keep(kind, answer)

    def _keep(self, kind: Kind, answer: Object) -> Object:
        stores = self._stores.stores(kind)
        for store in stores:
            # each store may trim what it holds in its own way
            store.put(answer if len(stores) == 1 else deepcopy(answer))
        return answer


def _creatable(kind: Kind, desired: Object) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, **desired}
