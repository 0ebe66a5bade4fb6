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

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource
from rollout.mesh.xds.wire import Request, Response

Resources = Mapping[str, Mapping[str, Resource]]
Encode = Callable[[str, tuple[Resource, ...], tuple[str, ...]], Response]

_WILDCARD_TYPES = frozenset({names.CLUSTER, names.LISTENER, names.VIRTUAL_HOST})
_ROUTING = frozenset({names.LISTENER, names.ROUTES, names.VIRTUAL_HOST})
_MOST_STALE = 10_000
_NOTHING: Mapping[str, Resource] = {}
_NONE: Container[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A resource that the proxy refused, in the proxy's words."""

    type_url: str
    name: str
    version: str
    error: str


@dataclass(slots=True)
class Watched:
    """One type's part of the state."""

    wildcard: bool = False
    lazy: Container[str] = frozenset()
    names: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    renewed: set[str] = field(default_factory=set)
    everything: bool = True
    greeted: bool = True
    outstanding: Response | None = None
    suspects: deque[str] = field(default_factory=deque)

    @property
    def due(self) -> bool:
        """Whether something may have to be sent."""
        waiting = self.stale or self.suspects or self.renewed
        return self.everything or bool(waiting) or not self.greeted

    def wants(self, name: str) -> bool:
        """Whether the proxy asked for it: by name, or for all that is told unasked, or has it."""
        unasked = self.wildcard and (name not in self.lazy or name in self.known)
        return unasked or name in self.names

    def candidates(self, resources: Mapping[str, Resource]) -> Iterable[str]:
        """Names that may differ, sorted."""
        if not self.everything:
            return sorted(self.stale)
        return sorted({*resources, *self.known} if self.wildcard else self.names)


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
        return not self.outstanding and not any(
            watched.everything or watched.stale or watched.suspects
            for watched in self._types.values()
        )

    @property
    def states(self) -> Mapping[str, str]:
        """Of each type that the proxy asked for: SYNCED, STALE (sent or to be sent, not yet taken) or REFUSED."""
        return {
            type_url: "REFUSED"
            if any(self.refuses(type_url, name) for name in watched.rejected)
            else "STALE"
            if watched.outstanding or watched.everything or watched.stale or watched.suspects
            else "SYNCED"
            for type_url, watched in self._types.items()
        }

    @property
    def wanted(self) -> Mapping[str, Mapping[str, str]]:
        """The versions of what the proxy asked for, as it should have them, by type and name."""
        return {
            type_url: {
                name: resource.version
                for name, resource in sorted(self._resources.get(type_url, _NOTHING).items())
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
        resource = self._resources.get(type_url, _NOTHING).get(name)
        return (
            watched is not None
            and resource is not None
            and watched.rejected.get(name) == resource.version
        )

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
                watched.stale.update(resource_names)
                if len(watched.stale) > _MOST_STALE:
                    # A proxy that takes nothing for long: what there is now is fewer than what there ever was.
                    watched.everything, watched.stale = True, set()

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
            watched = self._types[request.type_url] = self._first(request)
            self._resume(request)
        else:
            self._subscribe(watched, request)
        if watched.outstanding is None or request.nonce != watched.outstanding.nonce:
            return []
        answered, watched.outstanding = watched.outstanding, None
        if answered.type_url == names.ROUTES:
            self._open(each.name for each in answered.resources)
        for name in request.relieved & watched.rejected.keys():
            watched.known[name] = watched.rejected.pop(name)
        if request.error is None:
            return []
        return self._refused(watched, answered, request)

    def _first(self, request: Request) -> Watched:
        explicit = set(request.subscribe) - {"*"}
        wildcard = "*" in request.subscribe or (
            not request.subscribe and request.type_url in _WILDCARD_TYPES
        )
        return Watched(
            wildcard=wildcard,
            lazy=self._lazy if request.type_url == names.CLUSTER else _NONE,
            names=explicit,
            known=dict(request.versions),
            asked=set(explicit),
            # Envoy starts to work once it has heard of everything, be it that there is nothing.
            greeted=not wildcard or bool(request.versions),
        )

    def _resume(self, request: Request) -> None:
        """A proxy that comes back has routes of its own: until it has asked for new ones, their clusters stay."""
        if request.type_url == names.CLUSTER and request.versions:
            self._resuming = True
        single = bool(self._resources.get(names.VIRTUAL_HOST))
        if self._types.keys() >= (_ROUTING if single else _ROUTING - {names.VIRTUAL_HOST}):
            self._resuming = False

    def _subscribe(self, watched: Watched, request: Request) -> None:
        for name in request.unsubscribe:
            if name == "*":
                watched.wildcard = False
            watched.names.discard(name)
            watched.asked.discard(name)
            if not watched.wildcard:
                watched.known.pop(name, None)
                watched.rejected.pop(name, None)
        for name in request.subscribe:
            if name == "*":
                watched.wildcard = watched.everything = True
                continue
            watched.names.add(name)
            # Asking again means that it is wanted again.
            watched.known.pop(name, None)
            watched.stale.add(name)
            watched.asked.add(name)

    def _open(self, routes: Iterable[str]) -> None:
        """Routes that a proxy has taken up have no virtual hosts yet, even if some were sent before."""
        watched = self._types.get(names.VIRTUAL_HOST)
        fresh = tuple(f"{name}/" for name in routes)
        if watched is None or not fresh:
            return
        for name in self._resources.get(names.VIRTUAL_HOST, _NOTHING):
            if name.startswith(fresh):
                watched.known.pop(name, None)
                watched.stale.add(name)

    def _refused(self, watched: Watched, answered: Response, request: Request) -> list[Rejection]:
        sent = answered.resources
        culprits = tuple(each for each in sent if each.name in request.culprits)
        rest = tuple(each for each in sent if each.name not in request.culprits)
        if not culprits and len(sent) == 1:
            culprits, rest = sent, ()
        for resource in culprits if request.rest_taken else sent:
            # It may have an older one, or have taken this one and refused another: no version is known.
            watched.known[resource.name] = ""
            self._warming.discard(resource.name)
        if not culprits:
            watched.suspects.extend(resource.name for resource in sent)
        elif request.culprits and not request.rest_taken:
            # Even where nothing is left: what else was said, such as what is gone, was not taken either.
            watched.stale.update(resource.name for resource in rest)
            watched.greeted = False
        if not request.rest_taken:
            for name in answered.removed:
                watched.known[name] = ""
                watched.stale.add(name)
        for resource in culprits:
            watched.rejected[resource.name] = resource.version
        error = request.error or ""
        return [Rejection(answered.type_url, each.name, each.version, error) for each in culprits]

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
            if (response := self._next(type_url, watched)) is not None:
                found.append(response)
        if (response := self._cluster_removals()) is not None:
            found.append(response)
        return found

    def _clusters_pending(self) -> bool:
        self._warming &= self._resources.get(names.ENDPOINTS, _NOTHING).keys()
        if self._warming:
            return True
        watched = self._types.get(names.CLUSTER)
        return watched is not None and bool(
            watched.suspects or self._updates(names.CLUSTER, watched)
        )

    def _next(self, type_url: str, watched: Watched) -> Response | None:
        if watched.suspects and (watched.renewed or type_url not in names.LEASED):
            return self._next_suspect(type_url, watched)
        updates = self._updates(type_url, watched)
        removed = self._removals(type_url, watched)
        watched.everything, watched.stale, watched.renewed = False, set(), set()
        if type_url == names.CLUSTER:
            # Kept for when no route can lead to them any more.
            watched.stale, removed = set(removed), ()
        if not updates and not removed and watched.greeted:
            return None
        return self._send(type_url, watched, updates, removed)

    def _next_suspect(self, type_url: str, watched: Watched) -> Response | None:
        resources = self._resources.get(type_url, _NOTHING)
        while watched.suspects:
            resource = resources.get(watched.suspects.popleft())
            if resource is not None and watched.wants(resource.name):
                return self._send(type_url, watched, (resource,), ())
        return self._next(type_url, watched)

    def _updates(self, type_url: str, watched: Watched) -> tuple[Resource, ...]:
        resources = self._resources.get(type_url, _NOTHING)
        leased = type_url in names.LEASED
        return tuple(
            resource
            for name in (sorted(watched.renewed) if leased else watched.candidates(resources))
            if (resource := resources.get(name)) is not None
            and watched.wants(name)
            and (leased or watched.known.get(name) != resource.version)
            and watched.rejected.get(name) != resource.version
        )

    def _removals(self, type_url: str, watched: Watched) -> tuple[str, ...]:
        """Names that are gone (of a wildcard or leased), or that were asked for and never were."""
        taken_away = watched.wildcard or type_url in names.LEASED
        resources = self._resources.get(type_url, _NOTHING)
        found = []
        for name in watched.candidates(resources):
            if name in resources or not watched.wants(name):
                continue
            if name in watched.known:
                if taken_away:
                    found.append(name)
                else:
                    del watched.known[name]
            elif name in watched.asked:
                found.append(name)
        return tuple(found)

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
        removed = self._removals(names.CLUSTER, watched)
        watched.stale = set()
        return self._send(names.CLUSTER, watched, (), removed) if removed else None

    def _send(
        self,
        type_url: str,
        watched: Watched,
        updates: tuple[Resource, ...],
        removed: tuple[str, ...],
    ) -> Response:
        response = self._encode(type_url, updates, removed)
        watched.outstanding, watched.greeted = response, True
        watched.asked.difference_update(removed)
        for name in removed:
            watched.known.pop(name, None)
            watched.rejected.pop(name, None)
            if name in watched.suspects:
                watched.suspects.remove(name)
        for resource in updates:
            watched.known[resource.name] = resource.version
            watched.rejected.pop(resource.name, None)
            watched.asked.discard(resource.name)
            watched.renewed.discard(resource.name)
        if type_url == names.CLUSTER:
            self._sent_clusters(resource.name for resource in updates)
        elif type_url == names.ENDPOINTS:
            self._warming.difference_update(resource.name for resource in updates)
        return response

    def _sent_clusters(self, sent: Iterable[str]) -> None:
        """A cluster that is new or changed warms until it gets its endpoints, again even if they are the same."""
        existing = self._resources.get(names.ENDPOINTS, _NOTHING)
        watched = self._types.get(names.ENDPOINTS)
        for name in sent:
            if name not in existing:
                continue
            self._warming.add(name)
            if watched is not None and name in watched.names:
                watched.known.pop(name, None)
                watched.stale.add(name)
