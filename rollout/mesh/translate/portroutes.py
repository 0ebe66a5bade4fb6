"""The virtual hosts of one port, side by side, so that a change of one costs that one's making and a copy of the bytes.

The version is a hash of the hosts' own hashes, which says as much as one of all the bytes. Knows nothing of what the
hosts mean.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from rollout.mesh.translate.resource import Resource, digest
from rollout.mesh.translate.routes import host_resource, route_configuration


class PortRoutes:
    """A route configuration in pieces: virtual hosts in the order of their names, then the rest; or each by itself."""

    def __init__(
        self, port: int, hosts: Iterable[tuple[str, bytes]], rest: Iterable[tuple[str, bytes]]
    ) -> None:
        self._port = port
        self._bodies = dict(hosts)
        self._names = sorted(self._bodies)
        self._digests = {name: digest(body) for name, body in self._bodies.items()}
        self.rest = dict(rest)
        self._made: Resource | None = None
        self._hosts: dict[str, Resource] = {}

    def put(self, name: str, body: bytes | None) -> None:
        """Puts, replaces or removes a virtual host."""
        if self._bodies.get(name) == body:
            return
        self._made = None
        self._hosts.pop(name, None)
        if body is None:
            del self._bodies[name], self._digests[name]
            self._names.remove(name)
            return
        if name not in self._bodies:
            insort(self._names, name)
        self._bodies[name], self._digests[name] = body, digest(body)

    def put_rest(self, rest: Iterable[tuple[str, bytes]]) -> None:
        """Replaces what comes after the others; where it is the same, it stays."""
        found = dict(rest)
        if found != self.rest:
            self.rest, self._made = found, None

    def host(self, name: str) -> Resource | None:
        """One of the virtual hosts as a resource of its own."""
        body = self._bodies.get(name)
        if body is None:
            return None
        if name not in self._hosts:
            self._hosts[name] = host_resource(str(self._port), name, body)
        return self._hosts[name]

    def hosts(self) -> list[Resource]:
        """All but the rest as resources of their own."""
        return [found for name in self._names if (found := self.host(name)) is not None]

    def rest_hosts(self) -> list[Resource]:
        """The rest as resources of their own."""
        return [host_resource(str(self._port), *each) for each in self.rest.items()]

    def resource(self) -> Resource:
        """All of it, made once."""
        if self._made is None:
            rest = self.rest.values()
            bodies = [*map(self._bodies.__getitem__, self._names), *rest]
            digests = [*map(self._digests.__getitem__, self._names), *map(digest, rest)]
            self._made = route_configuration(str(self._port), bodies, "".join(digests))
        return self._made
