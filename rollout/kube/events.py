"""Events on objects, as `kubectl describe` shows them: counted where they repeat, and never in the caller's way.

Knows the form of core/v1 Events; not what they announce.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from rollout.api.kinds import EVENT
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, KubeError, NotFound, Unavailable
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import Key, Object, key_of, uid_of

MESSAGE_LIMIT = 1024  # the API's own
QUEUE_LIMIT = 1000
REMEMBERED = 2000
SAME_EVENT_WITHIN = timedelta(minutes=10)
BURST, REFILL_SECONDS = 50, 5.0
RETRY_SECONDS, RETRIES = 2.0, 60

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Emitted:
    """One call of `emit`; `event` is the name to create it by, the same at each attempt."""

    about: tuple[str, str, str, str, str]  # apiVersion, kind, namespace, name, uid
    type: str
    reason: str
    message: str
    at: datetime
    event: str

    @property
    def identity(self) -> tuple[object, ...]:
        return self.about, self.type, self.reason, self.message


@dataclass(slots=True)
class _Written:
    """The Event on the server that stands for an identity."""

    key: Key
    count: int
    last: datetime


@dataclass(slots=True)
class _Bucket:
    """What one object may still say."""

    tokens: float
    at: datetime


class EventRecorder:
    """Takes events without waiting and writes them in `run`, which its owner starts.

    At most `QUEUE_LIMIT` wait; each object may say 50 at once and one more every 5 s; what is too much is dropped
    and counted in the metric. While the API server does not answer, events wait for it.
    """

    def __init__(
        self,
        client: Client,
        component: str,
        *,
        instance: str = "",
        now: Callable[[], datetime] | None = None,
        metrics: KubeMetrics | None = None,
    ) -> None:
        self._client = client
        self._component, self._instance = component, instance
        self._now = now or (lambda: datetime.now(UTC))
        self._metrics = metrics or KubeMetrics()
        self._queue: asyncio.Queue[_Emitted] = asyncio.Queue(QUEUE_LIMIT)
        self._written: OrderedDict[tuple[object, ...], _Written] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()

    def emit(
        self,
        obj: Object,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field's name
        reason: str,
        message: str,
    ) -> None:
        """Announce something about `obj`. Never waits, never raises."""
        metadata = obj["metadata"]
        about = (
            str(obj.get("apiVersion", "")),
            str(obj.get("kind", "")),
            str(metadata.get("namespace") or ""),
            str(metadata["name"]),
            uid_of(obj),
        )
        event = f"{about[3][:220]}.{uuid.uuid4().hex[:16]}"
        emitted = _Emitted(about, type, reason, _shortened(message), self._now(), event)
        if not self._may_say(about, emitted.at):
            self._drop("rate", emitted)
            return
        try:
            self._queue.put_nowait(emitted)
        except asyncio.QueueFull:
            self._drop("full", emitted)

    async def run(self) -> None:
        """Write what was emitted, until cancelled."""
        while True:
            emitted = await self._queue.get()
            try:
                await self._deliver(emitted)
            except KubeError as error:
                log.warning("event not written", reason=emitted.reason, error=str(error))
                self._drop("refused", emitted)
            except Exception:  # an event is never worth the process
                log.exception("event not written", reason=emitted.reason)
                self._drop("error", emitted)
            finally:
                self._queue.task_done()

    async def flush(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - answers instead of raising
        """Wait until everything emitted so far is written (`run` must be running); False where time ran out."""
        try:
            async with asyncio.timeout(timeout):
                await self._queue.join()
        except TimeoutError:
            return False
        return True

    async def _deliver(self, emitted: _Emitted) -> None:
        for attempt in range(RETRIES):
            try:
                await self._write(emitted)
            except Unavailable:
                if attempt == RETRIES - 1:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _write(self, emitted: _Emitted) -> None:
        known = self._written.get(emitted.identity)
        if known is not None and emitted.at - known.last < SAME_EVENT_WITHIN:
            body: Object = {"count": known.count + 1, "lastTimestamp": _timestamp(emitted.at)}
            try:
                await self._client.patch(EVENT, *known.key, body)
            except NotFound:  # the server forgets events after an hour, and on request
                pass
            else:
                known.count, known.last = known.count + 1, emitted.at
                self._written.move_to_end(emitted.identity)
                return
        event = self._event(emitted)
        # an earlier attempt whose answer was lost may have written it
        with contextlib.suppress(AlreadyExists):
            await self._client.create(EVENT, event)
        self._written[emitted.identity] = _Written(key_of(event), 1, emitted.at)
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    def _event(self, emitted: _Emitted) -> Object:
        api_version, kind, namespace, name, uid = emitted.about
        reference = {
            "apiVersion": api_version,
            "kind": kind,
            "namespace": namespace,
            "name": name,
            "uid": uid,
        }
        at = _timestamp(emitted.at)
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"namespace": namespace or "default", "name": emitted.event},
            "involvedObject": {field: value for field, value in reference.items() if value},
            "type": emitted.type,
            "reason": emitted.reason,
            "message": emitted.message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }

    def _may_say(self, about: tuple[str, ...], at: datetime) -> bool:
        bucket = self._buckets.pop(about, None) or _Bucket(BURST, at)
        refilled = bucket.tokens + (at - bucket.at).total_seconds() / REFILL_SECONDS
        bucket.tokens, bucket.at = min(BURST, refilled), at
        allowed = bucket.tokens >= 1
        bucket.tokens -= allowed
        self._buckets[about] = bucket
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed

    def _drop(self, why: str, emitted: _Emitted) -> None:
        self._metrics.events_dropped.labels(why).inc()
        log.debug("event dropped", why=why, reason=emitted.reason, about=emitted.about)


def _shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
