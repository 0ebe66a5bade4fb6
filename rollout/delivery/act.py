"""Carries decisions out: the actions in order, then the status, then the events. Every write is a difference or nothing.

Whatever stops it in between, the status still says what it said, so the next decision asks for the rest again.
Knows how to write; not why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Literal, Protocol, assert_never

from rollout.api.kinds import CANARY, Kind
from rollout.delivery.actions import (
    Action,
    Apply,
    Decision,
    Delete,
    Event,
    Scale,
    SetFinalizers,
    SetRoutes,
    Settle,
)
from rollout.delivery.snapshot import Snapshot
from rollout.delivery.targets import TARGETS
from rollout.kube.errors import KubeError
from rollout.kube.objects import Key, Object, key_of
from rollout.kube.store import Store


class Writes(Protocol):
    """How objects are written: `rollout.kube.writer.Writer`."""

    async def apply(
        self,
        kind: Kind,
        desired: Object,
        observed: Object | None,
        exact: Collection[str] = (),
    ) -> Object:
        """Bring an object to a state."""
        ...

    async def patch_status(self, kind: Kind, obj: Object, status: Object) -> Object:
        """Set an object's status, provided that it is still as `obj`."""
        ...

    async def delete(self, kind: Kind, obj: Object, propagation: str | None = None) -> None:
        """Remove an object."""
        ...


class Tells(Protocol):
    """How users are told: `rollout.kube.events.EventRecorder`."""

    def emit(
        self,
        obj: Object,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the API's word
        reason: str,
        message: str,
    ) -> None:
        """Record an event about an object."""
        ...


class WriteFailed(Exception):  # noqa: N818 - it says what happened
    """The API server did not take a write; which one, and what it said."""

    def __init__(self, kind: Kind, name: str, error: KubeError) -> None:
        super().__init__(f"{kind.kind} {name}: {error.message}")
        self.kind, self.name, self.error = kind, name, error


class Actor:
    """Carries out decisions about canaries."""

    def __init__(
        self,
        writer: Writes,
        stores: Mapping[Kind, Store],
        recorder: Tells,
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._writer, self._stores, self._recorder, self._sleep = writer, stores, recorder, sleep
        self._told: dict[Key, str] = {}

    async def carry_out(self, seen: Snapshot, decision: Decision) -> None:
        """All of it, or WriteFailed at the first write that is not taken."""
        obj = seen.obj
        for action in decision.actions:
            obj = await self._do(action, obj)
        if decision.status != seen.status:
            status = {**(obj.get("status") or {}), **decision.status.dump()}
            try:
                obj = await self._writer.patch_status(CANARY, obj, status)
            except KubeError as error:
                raise WriteFailed(CANARY, seen.name, error) from error
        for event in decision.events:
            self._tell(obj, event)

    def forget(self, key: Key) -> None:
        """The canary is gone."""
        self._told.pop(key, None)

    async def _do(self, action: Action, canary: Object) -> Object:
        namespace = canary["metadata"]["namespace"]
        match action:
            case Apply():
                await self._apply(namespace, action)
            case SetRoutes():
                for each in action.objects:
                    await self._apply(namespace, each)
            case Scale():
                await self._scale(namespace, action)
            case Delete():
                await self._delete(namespace, action)
            case Settle():
                await self._sleep(action.seconds)
            case SetFinalizers():
                return await self._set_finalizers(canary, action)
            case _:
                assert_never(action)
        return canary

    async def _apply(self, namespace: str, action: Apply) -> None:
        observed = self._stores[action.kind].get(namespace, action.name)
        try:
            await self._writer.apply(action.kind, action.desired, observed, action.exact)
        except KubeError as error:
            raise WriteFailed(action.kind, f"{namespace}/{action.name}", error) from error

    async def _scale(self, namespace: str, action: Scale) -> None:
        served, target = self._stores[action.kind].get(namespace, action.name), TARGETS[action.kind]
        # Without a target there is nothing to scale, and none must come of it.
        if served is None or target.pods(served) == action.pods:
            return
        desired = {
            "metadata": {"name": action.name, "namespace": namespace},
            **target.scaled(action.pods),
        }
        await self._apply(namespace, Apply(action.kind, desired))

    async def _delete(self, namespace: str, action: Delete) -> None:
        observed = self._stores[action.kind].get(namespace, action.name)
        if observed is None:
            return
        try:
            await self._writer.delete(action.kind, observed)
        except KubeError as error:
            raise WriteFailed(action.kind, f"{namespace}/{action.name}", error) from error

    async def _set_finalizers(self, canary: Object, action: SetFinalizers) -> Object:
        metadata = canary["metadata"]
        desired = {
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": list(action.finalizers),
            }
        }
        try:
            return await self._writer.apply(CANARY, desired, canary, ("metadata.finalizers",))
        except KubeError as error:
            raise WriteFailed(CANARY, str(key_of(canary)), error) from error

    def _tell(self, canary: Object, event: Event) -> None:
        key = key_of(canary)
        if event.once and self._told.get(key) == event.message:
            return
        self._told[key] = event.message
        self._recorder.emit(
            canary, "Warning" if event.warning else "Normal", event.reason, event.message
        )
