"""The state of one proxy's delta stream: what it asked for, what it has, what may be sent next. Pure.

Level-triggered: what is sent is the difference between what the proxy has and what it should have at that moment, so
a slow proxy needs no queue: it has at most one unanswered response of each type, and the next carries all since.

Nothing breaks in between. What is referred to goes first: clusters, their endpoints, then listeners and routes, which
wait until every cluster that was sent has had its endpoints; clusters are taken away when no route is left to be sent.
Resources that were asked for by name are not taken away: the proxy gives them up together with what referred to them.

Leased resources (`names.LEASED`) the proxy drops by itself when it has not been sent them for a while. They are sent
when they are renewed, each time in full, and never otherwise: not to a proxy that comes back, nor after a pause, since
each sending is a promise that somebody vouches for them now. They are asked for by name and still taken away.

A response that is refused is sent again one resource at a time, unless it is said whose fault it is, so that one bad
resource doesn't hold up others; the bad one is not sent again until it changes, and the proxy keeps the last good one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource
from rollout.mesh.xds.watching import Watched
from rollout.mesh.xds.wire import Request, Response

Resources = Mapping[str, Mapping[str, Resource]]
Encode = Callable[[str, tuple[Resource, ...], tuple[str, ...]], Response]

_ROUTING = frozenset({names.LISTENER, names.ROUTES, names.VIRTUAL_HOST})
_NOTHING: Mapping[str, Resource] = {}
_NONE: Container[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A resource that the proxy refused, in the proxy's words."""

    type_url: str
    name: str
    version: str
    error: str


class Stream:
    """A proxy's stream. `resources` is what the proxy should have; `encode` makes the bytes.

    `lazy` are the clusters that it is told only when it asks for them by name.
    """

    def __init__(self, resources: Resources, encode: Encode, lazy: Container[str] = _NONE) -> None:
        self._resources = resources
        self._lazy = lazy
        self._encode = encode
        self._types: dict[str, Watched] = {}
        self._warming: set[str] = set()
        self._resuming = False

    @property
    def waiting(self) -> bool:
        """Whether something is held back until the proxy asks for more: endpoints of clusters, or routes."""
        clusters = self._types.get(names.CLUSTER)
        return bool(self._warming) or bool(self._resuming and clusters and clusters.stale)

    @property
    def due(self) -> bool:
        """Whether `poll` may have something to send."""
        return any(watched.due and watched.outstanding is None for watched in self._types.values())

    @property
    def outstanding(self) -> frozenset[str]:
        """Types with an unanswered response."""
        return frozenset(kind for kind, watched in self._types.items() if watched.outstanding)

    @property
    def synced(self) -> bool:
        """Whether the proxy has all that it asked for, as far as it accepts it."""
        return all(watched.synced for watched in self._types.values())

    @property
    def states(self) -> Mapping[str, str]:
        """Of each type that the proxy asked for: SYNCED, STALE (sent or to be sent, not yet taken) or REFUSED."""
        return {
            type_url: "REFUSED"
            if any(self.refuses(type_url, name) for name in watched.rejected)
            else "SYNCED"
            if watched.synced
            else "STALE"
            for type_url, watched in self._types.items()
        }

    @property
    def wanted(self) -> Mapping[str, Mapping[str, str]]:
        """The versions of what the proxy asked for, as it should have them, by type and name."""
        return {
            type_url: {
                name: resource.version
                for name, resource in sorted(self._all(type_url).items())
                if watched.wants(name)
            }
            for type_url, watched in self._types.items()
        }

    @property
    def resources(self) -> Resources:
        """What the proxy should have."""
        return self._resources

    def refuses(self, type_url: str, name: str) -> bool:
        """Whether the proxy refused the resource as it should be now."""
        watched = self._types.get(type_url)
        return watched is not None and watched.refuses(self._all(type_url).get(name))

    def switch(self, resources: Resources, lazy: Container[str] = _NONE) -> None:
        """Another view: everything may differ."""
        self._resources, self._lazy = resources, lazy
        if (clusters := self._types.get(names.CLUSTER)) is not None:
            clusters.lazy = lazy
        for watched in self._types.values():
            watched.everything = True

    def changed(self, changed: Mapping[str, Iterable[str]]) -> None:
        """These names may differ from what was sent."""
        for type_url, resource_names in changed.items():
            if (watched := self._types.get(type_url)) is not None:
                watched.change(resource_names)

    def renew(self, type_url: str, name: str) -> None:
        """Somebody vouches for a leased resource once more: it is to be sent again."""
        if (watched := self._types.get(type_url)) is not None:
            watched.renewed.add(name)

    def outdate(self) -> None:
        """Renewals that have not been sent yet are too old to be."""
        for watched in self._types.values():
            watched.renewed.clear()

    def release(self) -> None:
        """Waits no longer for what the proxy did not ask for."""
        self._warming.clear()
        self._resuming = False

    def receive(self, request: Request) -> list[Rejection]:
        """Takes in a request; answers what the proxy refused, as soon as that is known to the single resource."""
        watched = self._types.get(request.type_url)
        if watched is None:
            watched = self._types[request.type_url] = Watched.first(request, self._lazy)
            self._resume(request)
        else:
            watched.subscribe(request)
        answered = watched.answered(request)
        if answered is None:
            return []
        if answered.type_url == names.ROUTES:
            self._open(each.name for each in answered.resources)
        if request.error is None:
            return []
        culprits = watched.refused(answered, request)
        refused = culprits if request.rest_taken else answered.resources
        self._warming.difference_update(each.name for each in refused)
        return [
            Rejection(answered.type_url, each.name, each.version, request.error)
            for each in culprits
        ]

    def _all(self, type_url: str) -> Mapping[str, Resource]:
        return self._resources.get(type_url, _NOTHING)

    def _resume(self, request: Request) -> None:
        """A proxy that comes back has routes of its own: until it has asked for new ones, their clusters stay."""
        if request.type_url == names.CLUSTER and request.versions:
            self._resuming = True
        single = bool(self._all(names.VIRTUAL_HOST))
        if self._types.keys() >= (_ROUTING if single else _ROUTING - {names.VIRTUAL_HOST}):
            self._resuming = False

    def _open(self, routes: Iterable[str]) -> None:
        """Routes that a proxy has taken up have no virtual hosts yet, even if some were sent before."""
        watched = self._types.get(names.VIRTUAL_HOST)
        fresh = tuple(f"{name}/" for name in routes)
        if watched is None or not fresh:
            return
        for name in self._all(names.VIRTUAL_HOST):
            if name.startswith(fresh):
                watched.forget(name)

    def poll(self) -> list[Response]:
        """What is to be sent now, in this order; remembers it as sent."""
        found: list[Response] = []
        for type_url in names.ORDER:
            watched = self._types.get(type_url)
            if watched is None or watched.outstanding is not None or not watched.due:
                continue
            if type_url in _ROUTING and self._clusters_pending():
                continue
            if type_url == names.VIRTUAL_HOST and names.ROUTES in self.outstanding:
                continue
            if (response := self._next(watched)) is not None:
                found.append(response)
        if (response := self._cluster_removals()) is not None:
            found.append(response)
        return found

    def _clusters_pending(self) -> bool:
        self._warming &= self._all(names.ENDPOINTS).keys()
        if self._warming:
            return True
        watched = self._types.get(names.CLUSTER)
        return watched is not None and bool(
            watched.suspects or watched.updates(self._all(names.CLUSTER))
        )

    def _next(self, watched: Watched) -> Response | None:
        resources = self._all(watched.type_url)
        one_by_one = watched.renewed or not watched.leased
        if one_by_one and (suspect := watched.suspect(resources)) is not None:
            return self._send(watched, (suspect,), ())
        updates, removed = watched.updates(resources), watched.removals(resources)
        watched.everything, watched.stale, watched.renewed = False, set(), set()
        if watched.type_url == names.CLUSTER:
            # Kept for when no route can lead to them any more.
            watched.stale, removed = set(removed), ()
        if not updates and not removed and watched.greeted:
            return None
        return self._send(watched, updates, removed)

    def _cluster_removals(self) -> Response | None:
        watched = self._types.get(names.CLUSTER)
        if watched is None or watched.outstanding or watched.suspects or not watched.stale:
            return None
        if self._resuming:
            return None
        for type_url in _ROUTING:
            later = self._types.get(type_url)
            if later is not None and (later.outstanding or later.stale or later.everything):
                return None
        removed = watched.removals(self._all(names.CLUSTER))
        watched.stale = set()
        return self._send(watched, (), removed) if removed else None

    def _send(
        self, watched: Watched, updates: tuple[Resource, ...], removed: tuple[str, ...]
    ) -> Response:
        response = self._encode(watched.type_url, updates, removed)
        watched.sent(response, updates, removed)
        sent = [resource.name for resource in updates]
        if watched.type_url == names.CLUSTER:
            self._sent_clusters(sent)
        elif watched.type_url == names.ENDPOINTS:
            self._warming.difference_update(sent)
        return response

    def _sent_clusters(self, sent: Iterable[str]) -> None:
        """A cluster that is new or changed warms until it gets its endpoints, again even if they are the same."""
        existing = self._all(names.ENDPOINTS)
        watched = self._types.get(names.ENDPOINTS)
        for name in sent:
            if name not in existing:
                continue
            self._warming.add(name)
            if watched is not None and name in watched.names:
                watched.forget(name)
