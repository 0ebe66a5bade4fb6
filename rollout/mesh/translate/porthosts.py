"""The virtual hosts of one view as resources of their own, over all its ports: a change costs the hosts that it touches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.mesh.translate import names
from rollout.mesh.translate.portroutes import PortRoutes
from rollout.mesh.translate.resource import Resource, replace


class HostsOfPorts:
    """Kept in step with the routes of the ports, which views share."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self._routes: dict[int, PortRoutes] = {}
        self._rest: dict[int, dict[str, bytes]] = {}

    def update(
        self, ports: set[int] | None, routes: Mapping[int, PortRoutes], hosts: Iterable[str]
    ) -> set[str]:
        """Takes over the routes of these ports (None: all), where these hosts changed; answers the names that differ."""
        changed: set[str] = set()
        for port in [each for each in self._routes if ports is None or each in ports]:
            if port not in routes:
                changed |= self._replace(f"{port}/", [])
                del self._routes[port], self._rest[port]
        for port, found in routes.items():
            if self._routes.get(port) is not found:
                changed |= self._replace(f"{port}/", [*found.hosts(), *found.rest_hosts()])
                self._routes[port], self._rest[port] = found, found.rest
                continue
            for host in hosts:
                if host not in self._rest[port] and host not in found.rest:
                    made = found.host(host)
                    name = names.host_of_routes(str(port), host)
                    changed |= replace(self.resources, (name,), [made] if made else [])
            if self._rest[port] is not found.rest:
                changed |= self._new_rest(port, found)
        return changed

    def _replace(self, prefix: str, made: list[Resource]) -> set[str]:
        old = [name for name in self.resources if name.startswith(prefix)]
        return replace(self.resources, old, made)

    def _new_rest(self, port: int, found: PortRoutes) -> set[str]:
        """What was no service's may be one's now, and the other way round."""
        before, self._rest[port] = self._rest[port], found.rest
        old = [names.host_of_routes(str(port), host) for host in before]
        made = found.rest_hosts()
        made += [each for host in before if (each := found.host(host)) is not None]
        made += [each for host in found.rest if (each := found.host(host)) is not None]
        return replace(self.resources, old, made)
