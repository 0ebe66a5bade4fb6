"""VirtualService: how requests for hosts are routed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import Count, Port
from rollout.api.istio.http import Destination, HTTPRoute
from rollout.api.model import Model, Problem, Resource, Str, StrMap

ISTIO_VERSIONS = ("v1", "v1beta1", "v1alpha3")
_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9_]{0,61}[a-zA-Z0-9])?"
_HOST = re.compile(rf"\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\.?")
_ADDRESS = re.compile(r"[0-9a-fA-F:.]+(?:/[0-9]{1,3})?")


class L4MatchAttributes(Model):
    """What a connection is matched by."""

    destination_subnets: tuple[Str, ...] = ()
    """Addresses that it goes to."""
    port: Port | None = None
    """The port that it goes to."""
    source_labels: StrMap = Field(default_factory=dict)
    """Labels of the calling workload."""
    source_namespace: Str | None = None
    """The calling workload's namespace."""
    gateways: tuple[Str, ...] = ()
    """Gateways where this applies."""


class TLSMatchAttributes(L4MatchAttributes):
    """What a TLS connection that is passed through is matched by."""

    sni_hosts: tuple[Str, ...] = ()
    """Server names that the client asks for."""


class RouteDestination(Model):
    """A destination with its share of the connections."""

    destination: Destination
    """Where the connections go."""
    weight: Count | None = None
    """Its share, relative to the sum of all."""


class TCPRoute(Model):
    """One rule for plain connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    """Any of these; none means every connection."""
    route: tuple[RouteDestination, ...] = ()
    """Where the connections go, by weight."""


class TLSRoute(Model):
    """One rule for TLS connections that are passed through."""

    match: tuple[TLSMatchAttributes, ...] = ()
    """Any of these."""
    route: tuple[RouteDestination, ...] = ()
    """Where the connections go, by weight."""


class VirtualServiceSpec(Model):
    """How requests for the hosts are routed."""

    hosts: tuple[Str, ...] = ()
    """Hosts that it speaks for: names of services, or wildcards; none in a delegate."""
    gateways: tuple[Str, ...] = ()
    """Gateways where it applies (`namespace/name`); `mesh`, the default, means the sidecars."""
    http: tuple[HTTPRoute, ...] = ()
    """Rules for HTTP, in order."""
    tls: tuple[TLSRoute, ...] = ()
    """Rules for TLS that is passed through, in order."""
    tcp: tuple[TCPRoute, ...] = ()
    """Rules for plain connections, in order."""
    export_to: tuple[Str, ...] = ()
    """Namespaces that see it: `.`, `*` or names; all where unset."""

    def problems(self) -> Iterator[Problem]:
        """No hosts on a gateway, malformed or repeated hosts, a wildcard in the mesh, no rule at all."""
        if not self.hosts and self.gateways:
            yield Problem(
                "hosts", "is empty", "name a host, or remove gateways to make it a delegate"
            )
        for index, host in enumerate(self.hosts):
            if not is_host(host):
                yield Problem(f"hosts[{index}]", f"{host!r} is not a host", "write a DNS name")
            if host in self.hosts[:index]:
                yield Problem(f"hosts[{index}]", f"{host!r} is named twice", "remove one")
            if host == "*" and self.in_mesh:
                yield Problem(f"hosts[{index}]", "is a wildcard for the whole mesh", "name a host")
        if not (self.http or self.tls or self.tcp):
            yield Problem("", "has no rule", "add http, tls or tcp")

    @property
    def in_mesh(self) -> bool:
        """Whether it applies in the sidecars."""
        return not self.gateways or "mesh" in self.gateways


class VirtualService(Resource):
    """How requests for hosts are routed."""

    KIND = kinds.VIRTUAL_SERVICE
    SERVED_VERSIONS: ClassVar = ISTIO_VERSIONS
    REFUSES_UNKNOWN = False

    spec: VirtualServiceSpec
    """What the user wants."""


def is_host(name: str) -> bool:
    """Whether this is a DNS name, perhaps with a leading wildcard, or an address."""
    return len(name) <= 255 and bool(_HOST.fullmatch(name) or _ADDRESS.fullmatch(name))
