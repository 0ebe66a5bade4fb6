"""GatewayClass and Gateway: listeners, whose routes they take, and the certificates that they show."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from rollout.api import kinds
from rollout.api.gatewayapi.references import GROUP, SecretReference
from rollout.api.model import Int, Model, Resource, Str, StrMap

_VERSIONS = ("v1", "v1beta1")


class GatewayClassSpec(Model):
    """Who makes gateways of a class."""

    controller_name: Str
    """Whose class it is."""
    parameters_ref: Any = None
    """More settings of its controller's; this one has none."""
    description: Str | None = None
    """For people."""


class GatewayClass(Resource):
    """A class of gateways; of no namespace."""

    KIND = kinds.GATEWAY_CLASS
    SERVED_VERSIONS: ClassVar = _VERSIONS
    REFUSES_UNKNOWN = False

    spec: GatewayClassSpec
    """What the user wants."""


class LabelExpression(Model):
    """One expression of a label selector."""

    key: Str
    """The label's name."""
    operator: Str
    """In, NotIn, Exists or DoesNotExist."""
    values: tuple[Str, ...] = ()
    """Its values."""


class LabelSelector(Model):
    """Which labels objects have."""

    match_labels: StrMap = Field(default_factory=dict)
    """Labels that they have."""
    match_expressions: tuple[LabelExpression, ...] = ()
    """Expressions that hold of them."""


class RouteNamespaces(Model):
    """Where routes come from."""

    from_: Str = Field(default="Same", alias="from")
    """All, Same or Selector."""
    selector: LabelSelector | None = None
    """The namespaces of Selector."""


class RouteGroupKind(Model):
    """A kind of routes."""

    group: Str = GROUP
    """Its API group."""
    kind: Str
    """Its name."""


class AllowedRoutes(Model):
    """Which routes may attach to a listener."""

    namespaces: RouteNamespaces = RouteNamespaces()
    """Where they come from."""
    kinds: tuple[RouteGroupKind, ...] = ()
    """Their kinds; by default all that fit the listener's protocol."""


class ListenerTLS(Model):
    """How a listener ends TLS."""

    mode: Str = "Terminate"
    """Terminate or Passthrough."""
    certificate_refs: tuple[SecretReference, ...] = ()
    """The Secrets with its certificates."""
    options: StrMap = Field(default_factory=dict)
    """Settings of single implementations; this one has none."""


class Listener(Model):
    """One port with a host, a protocol and the routes that it takes."""

    name: Str
    """Its name, by which routes attach to it."""
    hostname: Str | None = None
    """Its host, perhaps a wildcard; all where it is empty."""
    port: Int
    """Its port."""
    protocol: Str
    """HTTP or HTTPS."""
    tls: ListenerTLS | None = None
    """Its certificate."""
    allowed_routes: AllowedRoutes = AllowedRoutes()
    """Which routes it takes."""


class GatewayAddress(Model):
    """An address that a Gateway is asked to have."""

    type: Str = "IPAddress"
    """IPAddress or Hostname."""
    value: Str | None = None
    """The address; whichever is free where it is empty."""


class GatewaySpec(Model):
    """Listeners, and the class that serves them."""

    gateway_class_name: Str
    """The class."""
    listeners: tuple[Listener, ...] = ()
    """What it listens for."""
    addresses: tuple[GatewayAddress, ...] = ()
    """The addresses asked for."""
    infrastructure: Any = None
    """Labels, annotations and parameters of what is made for it."""


class Gateway(Resource):
    """Where requests come in."""

    KIND = kinds.KUBERNETES_GATEWAY
    SERVED_VERSIONS: ClassVar = _VERSIONS
    REFUSES_UNKNOWN = False

    spec: GatewaySpec
    """What the user wants."""
