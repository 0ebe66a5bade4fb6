"""What destinations of routes are to Envoy: their clusters, the keys of their requests, and how long connections to them last."""

from __future__ import annotations

from rollout.mesh.model.balancing import ConsistentHash
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import Destination
from rollout.mesh.model.traffic import Lasting, traffic_of
from rollout.mesh.translate import names


class Targets:
    """Destinations' clusters and keys: without a port of their own, by the only one or the route's."""

    def __init__(self, registry: Registry, port: int) -> None:
        self._registry, self._port = registry, port
        self.traced = bool(registry.telemetry.mesh.collectors)

    def __call__(self, destination: Destination) -> str:
        """The cluster's name."""
        return names.outbound(*self._place(destination), destination.subset)

    def hash_of(self, destination: Destination) -> ConsistentHash | None:
        """By what requests stay with an endpoint, as the service's own rule says: routes are shared by all callers."""
        host, port = self._place(destination)
        service = self._registry.services.get(host)
        if service is None:
            return None
        policy = self._registry.policy(service.namespace, host)
        balancer = traffic_of(policy, port, destination.subset).balancer
        return balancer.consistent_hash if balancer is not None else None

    def lasting(self, destination: Destination, client: str) -> Lasting:
        """What holds for connections to it of a namespace's proxies."""
        host, port = self._place(destination)
        return traffic_of(self._registry.policy(client, host), port, destination.subset).lasting

    def _place(self, destination: Destination) -> tuple[str, int]:
        host = self._registry.canonical(destination.host)
        service = self._registry.services.get(host)
        number = destination.port
        if number is None:
            only = service.ports[0].number if service and len(service.ports) == 1 else None
            number = only or self._port
        return host, number
