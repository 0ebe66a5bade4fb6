"""What changed since somebody last asked. Knows nothing of what it means for proxies."""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout.mesh.model.problem import Ref


@dataclass(slots=True)
class Dirty:
    """What changed: hosts whose services, endpoints, rules or routes did, and whether others of the mesh's things did.

    `connections` are hosts whose routes for connections did, `destinations` those that changed routes lead or led to,
    `objects` the routing objects behind it all, `namespaces` those of the services; `opaque`: one of these has ports whose
    connections are passed on unseen.
    """

    services: set[str] = field(default_factory=set)
    endpoints: set[str] = field(default_factory=set)
    policies: set[str] = field(default_factory=set)
    routes: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    gateways: bool = False
    credentials: bool = False
    peers: bool = False
    places: bool = False
    scopes: bool = False
    telemetry: bool = False
    opaque: bool = False
    namespaces: set[str] = field(default_factory=set)
    destinations: set[str] = field(default_factory=set)
    objects: set[Ref] = field(default_factory=set)

    def __bool__(self) -> bool:
        hosts = self.services or self.endpoints or self.policies or self.routes
        others = (self.gateways, self.credentials, self.peers, self.places, self.scopes)
        return bool(hosts or any(others) or self.telemetry)
