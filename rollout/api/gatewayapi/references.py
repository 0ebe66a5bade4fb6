"""How Gateway API's kinds name other objects: parents of routes, backends, certificates."""

from __future__ import annotations

from rollout.api.model import Int, Model, Str

GROUP = "gateway.networking.k8s.io"


class ParentReference(Model):
    """What a route attaches to: a Gateway (perhaps one listener of it) or a Service."""

    group: Str = GROUP
    """The parent's API group; empty for a Service."""
    kind: Str = "Gateway"
    """The parent's kind."""
    namespace: Str | None = None
    """Its namespace; the route's own by default."""
    name: Str
    """Its name."""
    section_name: Str | None = None
    """One listener of a Gateway, or one port of a Service, by name."""
    port: Int | None = None
    """One port."""


class ObjectReference(Model):
    """An object, perhaps of another namespace."""

    group: Str = ""
    """Its API group; empty for the core group."""
    kind: Str = "Service"
    """Its kind."""
    namespace: Str | None = None
    """Its namespace; that of the object that refers to it by default."""
    name: Str
    """Its name."""
    port: Int | None = None
    """A port of it, where it is a Service."""


class BackendRef(ObjectReference):
    """A share of a rule's requests."""

    weight: Int = 1
    """Its share, relative to the sum of all."""


class SecretReference(ObjectReference):
    """A Secret with a certificate."""

    kind: Str = "Secret"
    """Its kind."""
