"""One type of resources in one proxy's stream: what it asked for, what it has, what it refused. Pure.

Must not know of other types: what has to go before what is the stream's affair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource
from rollout.mesh.xds.wire import Request, Response

_WILDCARD_TYPES = frozenset({names.CLUSTER, names.LISTENER, names.VIRTUAL_HOST})
MOST_STALE = 10_000
_NONE: Container[str] = frozenset()


@dataclass(slots=True)
class Watched:
    """One type's part of the state.

    `known` are the versions that the proxy has by name, empty where that is not certain; `rejected` those that it refused;
    `stale` the names that may differ from what it has, `everything` that all may; `asked` the names that it waits for;
    `renewed` the leased ones to be sent again; `suspects` what is sent one by one since all of it together was refused.
    """

    type_url: str
    wildcard: bool = False
    lazy: Container[str] = _NONE
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

    @classmethod
    def first(cls, request: Request, lazy: Container[str]) -> Watched:
        """By the first request for the type; `lazy` are the clusters that are told only when asked for by name."""
        explicit = set(request.subscribe) - {"*"}
        wildcard = "*" in request.subscribe or (
            not request.subscribe and request.type_url in _WILDCARD_TYPES
        )
        return cls(
            type_url=request.type_url,
            wildcard=wildcard,
            lazy=lazy if request.type_url == names.CLUSTER else _NONE,
            names=explicit,
            known=dict(request.versions),
            asked=set(explicit),
            # Envoy starts to work once it has heard of everything, be it that there is nothing.
            greeted=not wildcard or bool(request.versions),
        )

    @property
    def leased(self) -> bool:
        """Whether the proxy drops them by itself where they are not renewed."""
        return self.type_url in names.LEASED

    @property
    def due(self) -> bool:
        """Whether something may have to be sent."""
        waiting = self.stale or self.suspects or self.renewed
        return self.everything or bool(waiting) or not self.greeted

    @property
    def synced(self) -> bool:
        """Whether nothing is to be sent, nor sent and unanswered."""
        return not (self.outstanding or self.everything or self.stale or self.suspects)

    def wants(self, name: str) -> bool:
        """Whether the proxy asked for it: by name, or for all that is told unasked, or has it."""
        unasked = self.wildcard and (name not in self.lazy or name in self.known)
        return unasked or name in self.names

    def subscribe(self, request: Request) -> None:
        """Takes in what a later request asks for and gives up."""
        for name in request.unsubscribe:
            if name == "*":
                self.wildcard = False
            self.names.discard(name)
            self.asked.discard(name)
            if not self.wildcard:
                self.known.pop(name, None)
                self.rejected.pop(name, None)
        for name in request.subscribe:
            if name == "*":
                self.wildcard = self.everything = True
                continue
            self.names.add(name)
            self.asked.add(name)
            # Asking again means that it is wanted again.
            self.forget(name)

    def forget(self, name: str) -> None:
        """The proxy has it no more, or has to be sent it again."""
        self.known.pop(name, None)
        self.stale.add(name)

    def change(self, changed: Iterable[str]) -> None:
        """These may differ from what was sent."""
        self.stale.update(changed)
        if len(self.stale) > MOST_STALE:
            # A proxy that takes nothing for long: what there is now is fewer than what there ever was.
            self.everything, self.stale = True, set()

    def refuses(self, resource: Resource | None) -> bool:
        """Whether the proxy refused just this version."""
        return resource is not None and self.rejected.get(resource.name) == resource.version

    def updates(self, resources: Mapping[str, Resource]) -> tuple[Resource, ...]:
        """What the proxy should be sent of these, by name."""
        return tuple(
            resource
            for name in (sorted(self.renewed) if self.leased else self._candidates(resources))
            if (resource := resources.get(name)) is not None
            and self.wants(name)
            and (self.leased or self.known.get(name) != resource.version)
            and not self.refuses(resource)
        )

    def removals(self, resources: Mapping[str, Resource]) -> tuple[str, ...]:
        """Names that are gone (of a wildcard or leased), or that were asked for and never were."""
        found = []
        for name in self._candidates(resources):
            if name in resources or not self.wants(name):
                continue
            if name in self.known:
                if self.wildcard or self.leased:
                    found.append(name)
                else:
                    del self.known[name]
            elif name in self.asked:
                found.append(name)
        return tuple(found)

    def _candidates(self, resources: Mapping[str, Resource]) -> Iterable[str]:
        """Names that may differ, sorted."""
        if not self.everything:
            return sorted(self.stale)
        return sorted({*resources, *self.known} if self.wildcard else self.names)

    def suspect(self, resources: Mapping[str, Resource]) -> Resource | None:
        """The next of those that are sent one by one; None where none is left that there still is and is wanted."""
        while self.suspects:
            resource = resources.get(self.suspects.popleft())
            if resource is not None and self.wants(resource.name):
                return resource
        return None

    def sent(
        self, response: Response, updates: tuple[Resource, ...], removed: tuple[str, ...]
    ) -> None:
        """Remembers a response as sent, and what it says as known."""
        self.outstanding, self.greeted = response, True
        self.asked.difference_update(removed)
        for name in removed:
            self.known.pop(name, None)
            self.rejected.pop(name, None)
            if name in self.suspects:
                self.suspects.remove(name)
        for resource in updates:
            self.known[resource.name] = resource.version
            self.rejected.pop(resource.name, None)
            self.asked.discard(resource.name)
            self.renewed.discard(resource.name)

    def answered(self, request: Request) -> Response | None:
        """The response that the request answers, which is outstanding no more; None where it answers none."""
        if self.outstanding is None or request.nonce != self.outstanding.nonce:
            return None
        response, self.outstanding = self.outstanding, None
        for name in request.relieved & self.rejected.keys():
            self.known[name] = self.rejected.pop(name)
        return response

    def refused(self, answered: Response, request: Request) -> tuple[Resource, ...]:
        """Those of a refused response that are known to be why; what is not taken is to be sent again."""
        sent = answered.resources
        culprits = tuple(each for each in sent if each.name in request.culprits)
        rest = tuple(each for each in sent if each.name not in request.culprits)
        if not culprits and len(sent) == 1:
            culprits, rest = sent, ()
        for resource in culprits if request.rest_taken else sent:
            # It may have an older one, or have taken this one and refused another: no version is known.
            self.known[resource.name] = ""
        if not culprits:
            self.suspects.extend(resource.name for resource in sent)
        elif request.culprits and not request.rest_taken:
            # Even where nothing is left: what else was said, such as what is gone, was not taken either.
            self.stale.update(resource.name for resource in rest)
            self.greeted = False
        if not request.rest_taken:
            for name in answered.removed:
                self.known[name] = ""
                self.stale.add(name)
        for resource in culprits:
            self.rejected[resource.name] = resource.version
        return culprits
