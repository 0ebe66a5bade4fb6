"""Where changes meet proxies: the registry on one side, the connected proxies on the other.

Synchronous and without I/O; `push` is called when changes have been gathered, `connect` when a proxy comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog

from rollout.mesh.culprits import culprits
from rollout.mesh.ingest.feed import Feed
from rollout.mesh.ingest.proxies import pod_key, proxy
from rollout.mesh.ingest.services import PodOf
from rollout.mesh.metrics import Metrics, short
from rollout.mesh.model.dirty import Dirty
from rollout.mesh.model.fault import LeasedFault
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.proxy import Proxy
from rollout.mesh.model.registry import Registry
from rollout.mesh.translate import names
from rollout.mesh.translate.views import Views
from rollout.mesh.xds.connection import Connection
from rollout.mesh.xds.protocol import Rejection
from rollout.mesh.xds.wire import Codec, Response

log = structlog.get_logger(__name__)

_MOST_SUSPECTS = 1_000


@dataclass(slots=True)
class Client:
    """What is known of a connected proxy.

    `since` is when it began to differ from what it should have; `suspects` are the routing objects that have changed
    since it last had taken everything.
    """

    pod: tuple[str, str]
    proxy: Proxy
    since: float | None
    rejections: dict[tuple[str, str], Rejection] = field(default_factory=dict)
    suspects: set[Ref] = field(default_factory=set)


class Hub:
    """All connected proxies. `on_rejections` is called when one refuses something or cannot be served, or no longer so."""

    def __init__(self, registry: Registry, feed: Feed, pod_of: PodOf, metrics: Metrics) -> None:
        self._registry, self._feed, self._pod_of = registry, feed, pod_of
        self._metrics = metrics
        self._views = Views(registry)
        self.clients: dict[Connection, Client] = {}
        self.on_rejections: Callable[[], None] = lambda: None

    def connect(self, node: Mapping[str, Any], codec: Codec) -> Connection:
        """Admits a proxy with all changes so far taken up."""
        key = pod_key(node)
        self.push()
        who = proxy(node, self._pod_of(*key), self._registry)
        view = self._views.view(who)
        connection = Connection(node, view.resources, codec, view.lazy)
        self.clients[connection] = Client(key, who, monotonic())
        self._count()
        log.info("proxy connected", proxy=connection.id)
        if view.problems:
            self.on_rejections()
        return connection

    def _count(self) -> None:
        nodes = (connection.node.get("metadata") or {} for connection in self.clients)
        self._metrics.connected(str(each.get("ROLLOUT_VERSION", "unknown")) for each in nodes)

    def disconnect(self, connection: Connection) -> None:
        """Forgets a proxy, and its view where no other has it."""
        client = self.clients.pop(connection, None)
        self._count()
        self._views.retain({each.proxy for each in self.clients.values()})
        if client is not None and client.rejections:
            self.on_rejections()
        log.info("proxy disconnected", proxy=connection.id)

    def sent(self, response: Response) -> None:
        """Counts a push."""
        self._metrics.pushes.inc(short(response.type_url))

    def answered(self, connection: Connection, rejections: list[Rejection]) -> None:
        """Notes what a proxy refused, and how long it took to have everything."""
        client = self.clients[connection]
        for rejection in rejections:
            self._metrics.rejects.inc(short(rejection.type_url))
            log.error(
                "proxy refused a resource and keeps the last good one",
                proxy=connection.id,
                type=short(rejection.type_url),
                resource=rejection.name,
                error=rejection.error,
            )
            client.rejections[rejection.type_url, rejection.name] = rejection
        if rejections:
            self.on_rejections()
        if client.since is not None and connection.stream.synced:
            self._metrics.convergence.observe(monotonic() - client.since)
            client.since = None
            self._forgive(connection, client)

    def _forgive(self, connection: Connection, client: Client) -> None:
        """Drops refusals of what is no longer current."""
        kept = {
            key: each
            for key, each in client.rejections.items()
            if connection.stream.refuses(each.type_url, each.name)
        }
        if not kept:
            client.suspects.clear()
        if kept != client.rejections:
            client.rejections = kept
            self.on_rejections()

    def push(self) -> None:
        """Takes up the changes and tells the proxies that they concern."""
        self._feed.flush()
        dirty = self._registry.drain()
        if not dirty:
            return
        changed = self._views.refresh(dirty)
        for kind, touched in _touched(dirty).items():
            if touched:
                self._metrics.push_triggers.inc(kind)
        now = monotonic()
        regrouped = False
        for connection, client in self.clients.items():
            who = client.proxy
            if dirty.places or dirty.scopes or who.namespace in dirty.namespaces:
                who = proxy(connection.node, self._pod_of(*client.pod), self._registry)
            if who != client.proxy:
                client.proxy, regrouped = who, True
                self._switch(connection, who)
            elif who in changed:
                connection.notify(changed[who])
            else:
                continue
            client.since = client.since or now
            client.suspects |= dirty.objects
            if len(client.suspects) > _MOST_SUSPECTS:
                client.suspects = set(dirty.objects)
        if regrouped:
            self._views.retain({each.proxy for each in self.clients.values()})

    def _switch(self, connection: Connection, who: Proxy) -> None:
        view = self._views.view(who)
        connection.switch(view.resources, view.lazy)

    def inject(self, faults: tuple[LeasedFault, ...]) -> None:
        """These faults and no others are in force; proxies give up others at once, and get these when they are renewed."""
        changed = self._views.inject(faults)
        for connection, client in self.clients.items():
            if client.proxy in changed:
                connection.notify(changed[client.proxy])
        for fault in sorted(self._views.crowded_out(), key=lambda each: each.age):
            log.error("fault left out where every slot of a proxy has one already", run=fault.run)

    def renew(self, run: str, at: float) -> None:
        """A run's fault was vouched for once more, at that time by the monotonic clock."""
        for connection, client in self.clients.items():
            slot = self._views.view(client.proxy).carried.get(run)
            if slot is not None:
                connection.renew(names.EXTENSION, slot, at)

    def reintroduce(self, namespace: str, name: str) -> None:
        """A pod changed: its proxy may be another kind of proxy now."""
        for connection, client in self.clients.items():
            if client.pod != (namespace, name):
                continue
            self.push()
            who = proxy(connection.node, self._pod_of(namespace, name), self._registry)
            if who != client.proxy:
                client.proxy, client.since = who, client.since or monotonic()
                self._switch(connection, who)

    def refusals(self) -> dict[Ref, tuple[Problem, ...]]:
        """What proxies refuse now, as problems of the objects that it may come from."""
        found: dict[Ref, set[Problem]] = {}
        for client in self.clients.values():
            for rejection in client.rejections.values():
                for ref in culprits(
                    rejection.type_url,
                    rejection.name,
                    client.suspects,
                    self._registry,
                    self._feed.gateway_api.routes_to,
                ):
                    reason = f"proxies refuse {rejection.name} with it and keep the last good one"
                    problem = Problem(ref, "spec", f"{reason}: {rejection.error}", "correct it")
                    found.setdefault(ref, set()).add(problem)
        return {ref: tuple(sorted(problems)) for ref, problems in found.items()}

    def unserved(self) -> dict[Ref, tuple[Problem, ...]]:
        """What of the objects' contents cannot be given to the proxies that they are for."""
        found: dict[Ref, set[Problem]] = {}
        for problem in self._views.problems():
            found.setdefault(problem.ref, set()).add(problem)
        return {ref: tuple(sorted(problems)) for ref, problems in found.items()}

    def rejections(self) -> list[Rejection]:
        """What proxies refuse now, each once."""
        found = {
            (each.type_url, each.name): each
            for client in self.clients.values()
            for each in client.rejections.values()
        }
        return [found[key] for key in sorted(found)]


def _touched(dirty: Dirty) -> Mapping[str, object]:
    """What changed, in istiod's words."""
    return {"service": dirty.services, "endpoint": dirty.endpoints, "config": dirty.objects}
