"""Tells every event to event hooks, too: those of its canary, or else the controller's own.

Stands where events are recorded, so that no event is told to one and not to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal, Protocol

from rollout.api.canary import Canary
from rollout.api.errors import InvalidObject
from rollout.delivery.hooks.call import HookCall
from rollout.delivery.hooks.payload import checksum, event_calls
from rollout.delivery.status import Status
from rollout.kube.objects import Object


class Records(Protocol):
    """Where events are recorded: `rollout.kube.events.EventRecorder`."""

    def emit(
        self,
        obj: Object,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the API's word
        reason: str,
        message: str,
    ) -> None:
        """Record an event about an object."""
        ...


class EventHooks:
    """A recorder that also tells; `everywhere` is the URL for canaries without event hooks of theirs."""

    def __init__(
        self,
        recorder: Records,
        tell: Callable[[Iterable[HookCall]], None],
        clock: Callable[[], datetime],
        *,
        everywhere: str = "",
    ) -> None:
        self._recorder, self._tell, self._clock = recorder, tell, clock
        self._everywhere = everywhere

    def emit(
        self,
        obj: Object,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the API's word
        reason: str,
        message: str,
    ) -> None:
        """Record an event about a canary, and tell it."""
        self._recorder.emit(obj, type, reason, message)
        try:
            canary = Canary.parse({key: value for key, value in obj.items() if key != "status"})
        except InvalidObject:
            return  # its hooks are as unreadable as the rest of it
        status = Status.parse(obj.get("status"))
        calls = event_calls(
            canary,
            str(status.phase),
            checksum(status.last_applied_spec, status.tracked_configs),
            message=message,
            warning=type == "Warning",
            at=self._clock(),
            everywhere=self._everywhere,
        )
        self._tell(calls)
