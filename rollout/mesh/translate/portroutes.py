"""The virtual hosts of one port, side by side, so that a change of one costs that one's making and a copy of the bytes.

The version is a hash of the hosts' own hashes, which says as much as one of all the bytes. Knows nothing of what the
hosts mean.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from rollout.mesh.translate.resource import Resource, digest
from rollout.mesh.translate.routes import route_configuration


class PortRoutes:
    """A route configuration in pieces: virtual hosts in the order of their names, then some more."""

    def __init__(
        self, port: int, hosts: Iterable[tuple[str, bytes]], rest: Iterable[bytes]
    ) -> None:
        self._port = port
        self._bodies = dict(hosts)
        self._names = sorted(self._bodies)
        self._digests = {name: digest(body) for name, body in self._bodies.items()}
        self._rest = list(rest)
        self._made: Resource | None = None

    def put(self, name: str, body: bytes | None) -> None:
        """Puts, replaces or removes a virtual host."""
        if self._bodies.get(name) == body:
            return
        self._made = None
        if body is None:
            del self._bodies[name], self._digests[name]
            self._names.remove(name)
            return
        if name not in self._bodies:
            insort(self._names, name)
        self._bodies[name], self._digests[name] = body, digest(body)

    def put_rest(self, rest: Iterable[bytes]) -> None:
        """Replaces what comes after the named ones."""
        self._rest, self._made = list(rest), None

    def resource(self) -> Resource:
        """All of it, made once."""
        if self._made is None:
            bodies = [*map(self._bodies.__getitem__, self._names), *self._rest]
            digests = [*map(self._digests.__getitem__, self._names), *map(digest, self._rest)]
            self._made = route_configuration(str(self._port), bodies, "".join(digests))
        return self._made
