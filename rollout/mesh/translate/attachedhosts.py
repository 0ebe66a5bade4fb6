"""The virtual hosts of routes that gateways bring with them, so that a change of one costs the making of that one.

Kept by the routes' identity: to compare routes, or to hash them, would cost as much as to make their bytes.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from rollout.mesh.model.gateway import HostRoutes
from rollout.mesh.translate import names
from rollout.mesh.translate.routes import framed, http_routes, virtual_host
from rollout.mesh.translate.weights import ClusterOf

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class _Made:
    """A host's bytes, and the hosts whose rules they depend on. `made_of` is held, so that its identity stays its own."""

    made_of: HostRoutes
    leading_to: frozenset[str]
    body: bytes


class AttachedHosts:
    """Framed virtual hosts, by what they are made of and the port of the Service through which they are reached."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], _Made] = {}

    def get(self, host: HostRoutes, port: int, cluster_of: ClusterOf) -> bytes:
        """A host's routes, in their own order."""
        key = (id(host), port)
        if key not in self._made:
            if len(self._made) >= _MOST:
                self._made.clear()
            leading_to = frozenset[str]().union(*(each.destinations() for each in host.routes))
            self._made[key] = _Made(host, leading_to, _body(host, port, cluster_of))
        return self._made[key].body

    def forget(self, hosts: AbstractSet[str]) -> None:
        """Services of these hosts, or rules for them, have changed."""
        self._made = {
            key: made for key, made in self._made.items() if made.leading_to.isdisjoint(hosts)
        }


def _body(host: HostRoutes, port: int, cluster_of: ClusterOf) -> bytes:
    routes = http_routes(host.routes, cluster_of, port=port, gateways=frozenset())
    return framed(virtual_host(names.virtual_host(host.host, port), [host.host], routes))
