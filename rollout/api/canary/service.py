"""What a canary's services and routes look like (`spec.service`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from rollout.api.fields import IntOrString, Name, Port, Timeout
from rollout.api.istio.destinationrule import TrafficPolicy
from rollout.api.istio.http import HTTPRetry, HTTPRewrite
from rollout.api.istio.match import CorsPolicy, Headers, HTTPMatchRequest
from rollout.api.istio.virtualservice import is_host
from rollout.api.model import Bool, Model, Problem, Str, StrMap


class CustomMetadata(Model):
    """Metadata added to generated objects."""

    labels: StrMap = Field(default_factory=dict)
    """Labels to add."""
    annotations: StrMap = Field(default_factory=dict)
    """Annotations to add."""


class UnmanagedMetadata(Model):
    """Metadata of the generated objects that is left alone."""

    labels: tuple[Str, ...] = ()
    """Keys of labels."""
    annotations: tuple[Str, ...] = ()
    """Keys of annotations."""


class GatewayRef(Model):
    """A Gateway that a route is attached to (Gateway API)."""

    group: Str | None = None
    """Its API group."""
    kind: Str | None = None
    """Its kind."""
    name: Name
    """Its name."""
    namespace: Str | None = None
    """Its namespace; that of the canary where unset."""
    section_name: Str | None = None
    """One of its listeners."""
    port: Port | None = None
    """The port of its listeners."""


class BackendRef(Model):
    """A service that requests go to (Gateway API)."""

    group: Str | None = None
    """Its API group."""
    kind: Str | None = None
    """Its kind; Service where unset."""
    name: Name
    """Its name."""
    namespace: Str | None = None
    """Its namespace; that of the canary where unset."""
    port: Port | None = None
    """Its port."""


class RequestMirror(Model):
    """A service that gets a copy of every request (Gateway API)."""

    backend_ref: BackendRef
    """The service."""


class CanaryService(Model):
    """The services that are generated, and the routes to them."""

    name: Name | None = None
    """Name of the service that callers use; the target's where unset."""
    port: Port
    """Its port."""
    port_name: Name | None = None
    """Its port's name; `http` where unset."""
    target_port: IntOrString | None = None
    """The container's port, by number or name; `port` where unset."""
    app_protocol: Str | None = None
    """The protocol spoken on the port."""
    port_discovery: Bool = False
    """Whether the target's other container ports are added to the services."""
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None
    """Preference for near endpoints."""
    headless: Bool = False
    """Whether the services have no address of their own."""
    timeout: Timeout | None = None
    """Time for a request."""
    backend_timeout: Timeout | None = None
    """Time for one try of a request (Gateway API)."""
    mesh_name: Str | None = None
    """Name of the mesh (App Mesh)."""
    backends: tuple[Str, ...] = ()
    """Backends of the virtual nodes (App Mesh)."""
    hosts: tuple[Name, ...] = ()
    """Hosts of the route; the service's name is always one."""
    gateways: tuple[Name, ...] = ()
    """Istio gateways of the route; `mesh`, the sidecars, where unset."""
    gateway_refs: tuple[GatewayRef, ...] = ()
    """Gateways of the route (Gateway API)."""
    delegation: Bool = False
    """Whether the route is a delegate of another VirtualService."""
    match: tuple[HTTPMatchRequest, ...] = ()
    """Requests that the route takes; all where unset."""
    rewrite: HTTPRewrite | None = None
    """What the service sees."""
    retries: HTTPRetry | None = None
    """What is tried again."""
    headers: Headers | None = None
    """Changes to headers."""
    cors_policy: CorsPolicy | None = None
    """Cross-origin resource sharing."""
    traffic_policy: TrafficPolicy | None = None
    """How the services' endpoints are treated."""
    mirror: tuple[RequestMirror, ...] = ()
    """Services that get a copy of every request (Gateway API)."""
    apex: CustomMetadata | None = None
    """Metadata of the service that callers use, and of the route."""
    primary: CustomMetadata | None = None
    """Metadata of the primary's service."""
    canary: CustomMetadata | None = None
    """Metadata of the canary's service."""
    unmanaged_metadata: UnmanagedMetadata | None = None
    """Metadata that others own."""

    def problems(self) -> Iterator[Problem]:
        """A delegate with hosts of its own, a malformed host."""
        if self.delegation and (self.hosts or self.gateways):
            yield Problem("delegation", "excludes hosts and gateways", "remove delegation, or both")
        for index, host in enumerate(self.hosts):
            if not is_host(host):
                yield Problem(f"hosts[{index}]", f"{host!r} is not a host", "write a DNS name")
