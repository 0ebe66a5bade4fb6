"""The virtual hosts of one port, side by side, so that a change of one costs that one's making and a copy of the bytes.

The version is a hash of the hosts' own hashes, which says as much as one of all the bytes. Knows nothing of what the
hosts mean.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollout.mesh.translate.resource import Resource, digest
from rollout.mesh.translate.routes import route_configuration


class PortRoutes:
    """A route configuration in pieces: named virtual hosts in order, then some more."""

    def __init__(
        self, port: int, hosts: Iterable[tuple[str, bytes]], rest: Iterable[bytes]
    ) -> None:
        self._port = port
        self._place: dict[str, int] = {}
        self._bodies: list[bytes] = []
        for name, body in hosts:
            self._place[name] = len(self._bodies)
            self._bodies.append(body)
        self._bodies += rest
        self._digests = [digest(body) for body in self._bodies]
        self._made: Resource | None = None

    def put(self, name: str, body: bytes) -> None:
        """Replaces a virtual host, if it is among them."""
        if (place := self._place.get(name)) is None:
            return
        if self._bodies[place] != body:
            self._bodies[place], self._digests[place] = body, digest(body)
            self._made = None

    def resource(self) -> Resource:
        """All of it, made once."""
        if self._made is None:
            digests = "".join(self._digests)
            self._made = route_configuration(str(self._port), self._bodies, digests)
        return self._made
