"""Which routes are attached to which listeners, under which hosts; and what each listener then serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rollout.api.gatewayapi.gateway import Gateway
from rollout.api.gatewayapi.references import ParentReference
from rollout.mesh.ingest.gatewayapi.conditions import ACCEPTED, Condition, not_accepted
from rollout.mesh.ingest.gatewayapi.listeners import ListenerReading
from rollout.mesh.ingest.gatewayapi.reading import RouteReading, ordered
from rollout.mesh.model.gateway import HostRoutes
from rollout.mesh.model.hosts import covers, narrower, wildcards
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import Route

Labels = Mapping[str, str]


@dataclass(slots=True)
class Attached:
    """The routes of a listener, each with the hosts that both have in common."""

    listener: ListenerReading
    routes: list[tuple[RouteReading, tuple[str, ...]]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many routes are attached; one counts once, however often it names the listener."""
        return len({reading.ref for reading, _ in self.routes})


class Attachments:
    """The listeners of a Gateway while routes come to them."""

    def __init__(self, parsed: Gateway, listeners: Iterable[ListenerReading]) -> None:
        self._home = parsed.namespace
        self.listeners = [Attached(listener) for listener in listeners]

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
            each.routes.append((reading, hosts))
        return Condition(ACCEPTED.type, ACCEPTED.reason, reading.accepted.message)

    def served(self) -> list[tuple[ListenerReading, tuple[HostRoutes, ...]]]:
        """What each listener that is served has for its hosts."""
        served = [each for each in self.listeners if each.listener.served]
        return [(each.listener, _hosts(each, served)) for each in served]


def _common(listener: ListenerReading, reading: RouteReading) -> tuple[str, ...]:
    if not reading.hostnames:
        return (listener.host,)
    found = (narrower(listener.host, host) for host in reading.hostnames)
    return tuple(dict.fromkeys(host for host in found if host))


def _hosts(attached: Attached, served: Iterable[Attached]) -> tuple[HostRoutes, ...]:
    """Host by host the routes of the host itself, then those of wildcards that take it in.

    Hosts that a more specific listener of the port has are that listener's alone.
    """
    listener = attached.listener
    narrow = [
        each.listener.host
        for each in served
        if each.listener.port == listener.port
        and each.listener.host != listener.host
        and covers(listener.host, each.listener.host)
    ]
    by_host: dict[str, list[RouteReading]] = {listener.host: []}
    for reading, hosts in attached.routes:
        for host in hosts:
            if not any(covers(pattern, host) for pattern in narrow):
                there = by_host.setdefault(host, [])
                if all(reading.ref != other.ref for other in there):
                    there.append(reading)
    return tuple(HostRoutes(host, _tried(host, by_host)) for host in sorted(by_host))


def _tried(host: str, by_host: Mapping[str, list[RouteReading]]) -> tuple[Route, ...]:
    seen: set[Ref] = set()
    routes: list[Route] = []
    for pattern in dict.fromkeys((host, *wildcards(host))):
        if fresh := [each for each in by_host.get(pattern, ()) if each.ref not in seen]:
            seen.update(each.ref for each in fresh)
            routes += ordered(fresh)
    return tuple(routes)
