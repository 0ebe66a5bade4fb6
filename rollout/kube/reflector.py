"""Keeps one store equal to one collection of the API server: list, watch, and begin again as often as it takes.

Level-triggered: a relist brings the store to the same state as a restart would. Knows no object's meaning, and who
reads the store no more than that.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from rollout.kube.backoff import Backoff
from rollout.kube.client import PAGE_SIZE, Client
from rollout.kube.errors import Gone, KubeError, NotFound, Unavailable
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import version_of
from rollout.kube.store import Store

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which part of a collection is watched."""

    namespace: str | None = None
    label_selector: str | None = None
    field_selector: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a reflector waits, all in seconds.

    A watch lives between `watch_min` and `watch_max`, drawn at random so that they do not all end at once. Once the
    server has sent anything, bookmarks come about once a minute: after `silence` the connection counts as dead.
    """

    watch_min: float = 300.0
    watch_max: float = 600.0
    silence: float = 85.0
    backoff_min: float = 0.2
    backoff_max: float = 10.0


class Reflector:
    """Fills `store` until cancelled.

    `synced` is set once the first list has been applied; `missing` is true while the server has no such kind;
    `answered` is set once the server has said anything of the kind, be it a refusal. With `definitions`, a store of
    CustomResourceDefinitions, a kind that the server lacks is not asked for again before it is defined there.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        *,
        scope: Scope | None = None,
        timing: Timing | None = None,
        page_size: int = PAGE_SIZE,
        rng: random.Random | None = None,
        metrics: KubeMetrics | None = None,
        definitions: Store | None = None,
    ) -> None:
        self.store = store
        self.kind = store.kind
        self.scope = scope or Scope()
        self.synced = asyncio.Event()
        self.answered = asyncio.Event()
        self.missing = False
        self._client = client
        self._timing = timing or Timing()
        self._page_size = page_size
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._metrics = metrics or KubeMetrics()
        self._version: str | None = None
        self._backoff = Backoff(base=self._timing.backoff_min, cap=self._timing.backoff_max)
        self._log = log.bind(kind=self.kind.kind, namespace=self.scope.namespace)
        self._definitions = definitions
        self._defined = asyncio.Event()
        if definitions is not None:
            definitions.subscribe(lambda _: self._defined.set())

    async def run(self) -> None:
        """List and watch until cancelled; no failure ends it."""
        while True:
            try:
                version = self._version or await self._list()
                await self._watch(version)
            except Gone as error:
                self._log.info("the watched version is gone; listing again", error=str(error))
                self._version = None
                self._count(error)
                await self._pause(Gone)
            except Exception as error:  # noqa: BLE001 - whatever it is, the store must not stay behind
                self._failed(error)
                await self._pause(type(error))

    async def _list(self) -> str:
        self._metrics.lists.labels(self.kind.kind).inc()
        scope = self.scope
        listing = await self._client.list_pages(
            self.kind,
            scope.namespace,
            scope.label_selector,
            scope.field_selector,
            page_size=self._page_size,
        )
        self.store.replace(listing.items, int(listing.version))
        self._version = listing.version
        self._gauge()
        if self.missing:
            self._log.info("the server has this kind now")
        self.missing = False
        self.answered.set()
        self.synced.set()
        return listing.version

    async def _watch(self, version: str) -> None:
        self._metrics.watches.labels(self.kind.kind).inc()
        loop = asyncio.get_running_loop()
        started = loop.time()
        events = self._client.watch(
            self.kind,
            self.scope.namespace,
            version=version,
            server_timeout=self._rng.uniform(self._timing.watch_min, self._timing.watch_max),
            silence=self._timing.silence,
            label_selector=self.scope.label_selector,
            field_selector=self.scope.field_selector,
        )
        async with aclosing(events):
            async for event in events:
                self._backoff.reset()
                match event.type:
                    case "ADDED" | "MODIFIED":
                        self.store.put(event.object, announced=True)
                    case "DELETED":
                        self.store.remove(event.object)
                    case _:
                        self.store.progress(version_of(event.object))
                self._version = event.object["metadata"]["resourceVersion"]
                self._gauge()
        if loop.time() - started < self._timing.watch_min / 10:
            # a server that ends watches at once must not be asked again at once
            await self._pause(None)

    def _failed(self, error: Exception) -> None:
        self._count(error)
        if isinstance(error, KubeError) and not isinstance(error, Unavailable):
            self.answered.set()
        if isinstance(error, NotFound):
            # what is in the store stays: a server that starts up may not know its custom kinds yet
            self._version = None
            if not self.missing:
                self._log.warning("the server has no such kind; looking again until it does")
            self.missing = True
        elif isinstance(error, KubeError):
            report = self._log.warning if self._backoff.failures == 0 else self._log.debug
            report("watch interrupted", error=str(error))
        else:
            self._version = None
            self._log.exception("watch failed; listing again")

    def _count(self, error: Exception) -> None:
        self._metrics.failures.labels(self.kind.kind, type(error).__name__).inc()

    async def _pause(self, trouble: type[Exception] | None) -> None:
        await asyncio.sleep(self._backoff.after(trouble) * self._rng.uniform(0.5, 1.0))
        if self.missing and self._definitions is not None:
            while not self._definitions.get("", f"{self.kind.plural}.{self.kind.group}"):
                self._defined.clear()
                await self._defined.wait()

    def _gauge(self) -> None:
        self._metrics.objects.labels(self.kind.kind).set(len(self.store))
