"""Which routes are attached to which listeners, under which hosts; and what each listener then serves.

Routes come and go one by one; what is served is made again only for the hosts that this is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.api.gatewayapi.references import ParentReference
from rollout.mesh.ingest.gatewayapi.conditions import ACCEPTED, Condition, not_accepted
from rollout.mesh.ingest.gatewayapi.listeners import ListenerReading
from rollout.mesh.ingest.gatewayapi.objects import Labels
from rollout.mesh.ingest.gatewayapi.reading import RouteReading, ordered
from rollout.mesh.model.gateway import HostRoutes
from rollout.mesh.model.hosts import covers, narrower, wildcards
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import Route


class Attached:
    """The routes of a listener, each under the hosts that both have in common.

    Hosts that are `elsewhere` are those of a more specific listener of the port, and its alone.
    """

    def __init__(self, listener: ListenerReading, elsewhere: Iterable[str]) -> None:
        self.listener = listener
        self._elsewhere = tuple(elsewhere)
        self._hosts: dict[Ref, tuple[str, ...]] = {}
        self._by_host: dict[str, dict[Ref, RouteReading]] = {listener.host: {}}
        self._made: dict[str, HostRoutes] = {}
        self._stale = {listener.host}

    @property
    def count(self) -> int:
        """How many routes are attached; one counts once, however often it names the listener."""
        return len(self._hosts)

    def put(self, reading: RouteReading, hosts: Iterable[str]) -> None:
        """Attaches a route; again makes no difference."""
        here = (host for host in hosts if not any(covers(each, host) for each in self._elsewhere))
        self._hosts[reading.ref] = tuple(here)
        for host in self._hosts[reading.ref]:
            self._by_host.setdefault(host, {})[reading.ref] = reading
            self._touch(host)

    def remove(self, ref: Ref) -> None:
        """Detaches a route, if it is attached."""
        for host in self._hosts.pop(ref, ()):
            self._by_host[host].pop(ref, None)
            self._touch(host)
            if not self._by_host[host] and host != self.listener.host:
                del self._by_host[host]

    def _touch(self, pattern: str) -> None:
        """A host's routes changed, and with a wildcard's those of the hosts that it takes in."""
        self._stale.add(pattern)
        if pattern.startswith("*"):
            self._stale.update(host for host in self._by_host if covers(pattern, host))

    def hosts(self) -> tuple[HostRoutes, ...]:
        """Host by host the routes of the host itself, then those of wildcards that take it in; the same as before stay it."""
        for host in self._stale:
            if host not in self._by_host:
                self._made.pop(host, None)
                continue
            made = HostRoutes(host, _tried(host, self._by_host))
            if made != self._made.get(host):
                self._made[host] = made
        self._stale.clear()
        return tuple(self._made[host] for host in sorted(self._by_host))


class Attachments:
    """The listeners of a Gateway of a namespace while routes come to them and go."""

    def __init__(self, home: str, listeners: tuple[ListenerReading, ...]) -> None:
        self._home = home
        self.readings = listeners
        self.listeners = [Attached(each, _narrower(each, listeners)) for each in listeners]

    def attach(self, reading: RouteReading, parent: ParentReference, labels: Labels) -> Condition:
        """Attaches a route to whichever listeners it means; whether it could. `labels` are its namespace's."""
        meant = [
            each
            for each in self.listeners
            if parent.section_name in {None, each.listener.name}
            and parent.port in {None, each.listener.port}
        ]
        if not meant:
            wanted = f"{parent.section_name or 'any name'} on port {parent.port or 'any'}"
            return not_accepted("NoMatchingParent", f"the Gateway has no listener {wanted}")
        namespace = reading.ref.namespace
        taking = [
            each
            for each in meant
            if each.listener.attachable
            and each.listener.takes(reading.ref.kind, namespace, self._home, labels)
        ]
        if not taking:
            reason = f"no listener takes {reading.ref.kind}s from namespace {namespace}"
            return not_accepted("NotAllowedByListeners", f"{reason} (see its allowedRoutes)")
        common = [(each, hosts) for each in taking if (hosts := _common(each.listener, reading))]
        if not common:
            names = ", ".join(dict.fromkeys(each.listener.host for each in taking))
            reason = f"none of its hostnames is among the listeners' ({names})"
            return not_accepted("NoMatchingListenerHostname", reason)
        if not reading.accepted.holds:
            return reading.accepted
        for each, hosts in common:
            each.put(reading, hosts)
        return Condition(ACCEPTED.type, ACCEPTED.reason, reading.accepted.message)

    def detach(self, ref: Ref) -> None:
        """Takes a route from all listeners."""
        for each in self.listeners:
            each.remove(ref)

    def served(self) -> list[tuple[ListenerReading, tuple[HostRoutes, ...]]]:
        """What each listener that is served has for its hosts."""
        return [(each.listener, each.hosts()) for each in self.listeners if each.listener.served]


def _common(listener: ListenerReading, reading: RouteReading) -> tuple[str, ...]:
    if not reading.hostnames:
        return (listener.host,)
    found = (narrower(listener.host, host) for host in reading.hostnames)
    return tuple(dict.fromkeys(host for host in found if host))


def _narrower(listener: ListenerReading, others: Iterable[ListenerReading]) -> list[str]:
    return [
        each.host
        for each in others
        if each.served
        and each.port == listener.port
        and each.host != listener.host
        and covers(listener.host, each.host)
    ]


def _tried(host: str, by_host: Mapping[str, Mapping[Ref, RouteReading]]) -> tuple[Route, ...]:
    seen: set[Ref] = set()
    routes: list[Route] = []
    for pattern in dict.fromkeys((host, *wildcards(host))):
        there = by_host.get(pattern, {}).values()
        if fresh := [each for each in there if each.ref not in seen]:
            seen.update(each.ref for each in fresh)
            routes += ordered(fresh)
    return tuple(routes)
