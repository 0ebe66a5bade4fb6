"""PeerAuthentication: whether workloads take mutual TLS, plain text, or both (`security.istio.io`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.model import Model, Problem, Resource, Str, StrMap


class PeerMTLS(Model):
    """Which of the two."""

    mode: Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] | None = None
    """UNSET, DISABLE (plain text), PERMISSIVE (both) or STRICT (mutual TLS)."""


class WorkloadSelector(Model):
    """Which pods."""

    match_labels: StrMap = Field(default_factory=dict)
    """Labels that they have."""


class PeerAuthenticationSpec(Model):
    """What the selected workloads take."""

    selector: WorkloadSelector | None = None
    """The workloads; without it all of the namespace, or of the mesh in its root namespace."""
    mtls: PeerMTLS | None = None
    """What they take; nothing said means what holds for the namespace, then the mesh, then PERMISSIVE."""
    port_level_mtls: Mapping[Str, PeerMTLS] = Field(default_factory=dict)
    """What single ports of the pods take."""

    def problems(self) -> Iterator[Problem]:
        """Ports without a selector, or what is not a port."""
        selects = self.selector is not None and self.selector.match_labels
        if self.port_level_mtls and not selects:
            yield Problem(
                "portLevelMtls", "needs a selector", "add selector.matchLabels, or use mtls"
            )
        for port in self.port_level_mtls:
            if not port.isdecimal() or not 0 < int(port) < 65536:
                reason = f"{port!r} is not a port"
                yield Problem("portLevelMtls", reason, "write the pod's port, 1 to 65535")


class PeerAuthentication(Resource):
    """Whether workloads take mutual TLS, plain text, or both."""

    KIND = kinds.PEER_AUTHENTICATION
    SERVED_VERSIONS: ClassVar = ("v1", "v1beta1")
    REFUSES_UNKNOWN = False

    spec: PeerAuthenticationSpec
    """What the user wants."""
