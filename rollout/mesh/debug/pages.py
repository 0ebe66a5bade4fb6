"""What there is to be said: who is connected, who has what, which services are known. Changes nothing.

Must not know who asks, nor how. Says names and versions, never contents: a Secret's are nobody's here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollout.mesh.hub import Hub
from rollout.mesh.metrics import short
from rollout.mesh.model.registry import Registry
from rollout.mesh.xds.connection import Connection

_TYPES = ("cds", "lds", "eds", "rds", "sds")
_NOT_SENT = "NOT SENT"

Pod = tuple[str, str]
"""Namespace and name."""


class Pages:
    """JSON's plain values; the names of the methods are Istio's."""

    def __init__(self, hub: Hub, registry: Registry) -> None:
        self._hub, self._registry = hub, registry

    def connected(self, namespace: str = "") -> Iterator[tuple[Connection, Pod]]:
        """The proxies that are connected here, by id; perhaps those of one namespace alone."""
        for connection in sorted(self._hub.clients, key=lambda each: each.id):
            pod = self._hub.clients[connection].pod
            if namespace in {"", pod[0]}:
                yield connection, pod

    def connection(self, proxy: str, namespace: str = "") -> Connection | None:
        """The proxy of a pod, `POD.NAMESPACE`."""
        return next((c for c, pod in self.connected(namespace) if named(pod) == proxy), None)

    def errors(self, connection: Connection) -> Mapping[str, str]:
        """Why a proxy refuses what it refuses now, by type."""
        found: dict[str, str] = {}
        for (kind, name), each in sorted(self._hub.clients[connection].rejections.items()):
            found[kind] = "; ".join(filter(None, (found.get(kind), f"{name}: {each.error}")))
        return found

    def syncz(self, namespace: str = "") -> list[Mapping[str, Any]]:
        """Which types each proxy has as it should."""
        return [_sync(*each) for each in self.connected(namespace)]

    def config_dump(self, proxy: str, namespace: str = "") -> Mapping[str, Any] | None:
        """Names and versions of all that a proxy asked for, as it should have them; None where it is not here."""
        found = self.connection(proxy, namespace)
        if found is None:
            return None
        return {short(kind): names for kind, names in sorted(found.stream.wanted.items())}

    def registryz(self) -> list[Mapping[str, Any]]:
        """Every service."""
        return [self._service(host) for host in sorted(self._registry.services)]

    def endpointz(self) -> Mapping[str, Any]:
        """Every endpoint of every service, by port."""
        return {host: self._endpoints(host) for host in sorted(self._registry.endpoints)}

    def _service(self, host: str) -> Mapping[str, Any]:
        service = self._registry.services[host]
        return {
            "hostname": host,
            "addresses": list(service.addresses),
            "ports": [
                {"name": port.name, "port": port.number, "protocol": port.protocol.value}
                for port in service.ports
            ],
            "endpoints": {name: len(each) for name, each in self._endpoints(host).items()},
        }

    def _endpoints(self, host: str) -> Mapping[str, list[str]]:
        ports = self._registry.endpoints.get(host, {})
        return {
            str(name): [f"{each.address}:{each.port}" for each in endpoints]
            for name, endpoints in sorted(ports.items(), key=lambda item: str(item[0]))
        }


def named(pod: Pod) -> str:
    """`POD.NAMESPACE`, as a proxy is called."""
    return f"{pod[1]}.{pod[0]}"


def absent(proxy: str) -> str:
    """What is said of a proxy that is not connected here."""
    return f"no proxy {proxy!r} is connected here; proxyID is POD.NAMESPACE"


def _sync(connection: Connection, pod: Pod) -> Mapping[str, Any]:
    states = {short(kind): state for kind, state in connection.stream.states.items()}
    return {
        "proxy": named(pod),
        "type": connection.id.split("~", 1)[0],
        "synced": connection.stream.synced,
        **{kind: states.get(kind, _NOT_SENT) for kind in _TYPES},
    }
