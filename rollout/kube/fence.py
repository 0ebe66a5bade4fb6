"""Keeps a process that lost its lease from writing: every write goes through the territory that it belongs to.

Knows neither how territory is won nor what is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from rollout.api.kinds import Kind
from rollout.kube.errors import Conflict
from rollout.kube.objects import Object, key_of
from rollout.kube.writer import Writer


class Deposed(Conflict):
    """The namespace is no longer this process': another may have begun."""


class Territory(Protocol):
    """Which namespaces a process may act upon."""

    def holds(self, namespace: str) -> bool:
        """Whether it is ours now."""
        ...

    def writing(self, namespace: str) -> AbstractAsyncContextManager[None]:
        """Around one write: raises `Deposed` where the namespace is not ours, or ceases to be while it lasts."""
        ...


class Everywhere:
    """The territory of a process that is alone."""

    def holds(self, namespace: str) -> bool:  # noqa: ARG002 - all are
        """Always."""
        return True

    @asynccontextmanager
    async def writing(self, namespace: str) -> AsyncIterator[None]:  # noqa: ARG002 - all are
        """Never refused."""
        yield


class FencedWriter:
    """A `Writer` that writes only what is within the territory; else `Deposed`."""

    def __init__(self, writer: Writer, territory: Territory) -> None:
        self._writer, self._territory = writer, territory

    def holds(self, namespace: str) -> bool:
        """Whether it would write there now."""
        return self._territory.holds(namespace)

    async def apply(
        self, kind: Kind, desired: Object, observed: Object | None, exact: Collection[str] = ()
    ) -> Object:
        """`Writer.apply`."""
        async with self._territory.writing(key_of(desired).namespace):
            return await self._writer.apply(kind, desired, observed, exact)

    async def patch_status(self, kind: Kind, obj: Object, status: Object) -> Object:
        """`Writer.patch_status`."""
        async with self._territory.writing(key_of(obj).namespace):
            return await self._writer.patch_status(kind, obj, status)

    async def delete(self, kind: Kind, obj: Object, propagation: str | None = None) -> None:
        """`Writer.delete`."""
        async with self._territory.writing(key_of(obj).namespace):
            await self._writer.delete(kind, obj, propagation)
