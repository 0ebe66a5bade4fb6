"""Istio's names for Envoy's objects, which tools and people already know. Knows nothing of their contents."""

from __future__ import annotations

from rollout.mesh.agent.settings import (
    ADMIN_PORT,
    AGENT_PORT,
    INBOUND_PORT,
    OUTBOUND_PORT,
    PROMETHEUS_PORT,
    READINESS_PORT,
)

PASSTHROUGH = "PassthroughCluster"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
BLACK_HOLE = "BlackHoleCluster"
VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
RESERVED_PORTS = frozenset(
    {ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, AGENT_PORT, READINESS_PORT, PROMETHEUS_PORT}
)
"""What the proxy's container listens on by itself: services' ports of these numbers are not routed."""
SERVER = "istio-envoy"

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
VIRTUAL_HOST = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105
EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
ORDER = (CLUSTER, ENDPOINTS, SECRET, LISTENER, ROUTES, VIRTUAL_HOST, EXTENSION)
"""Make before break: what is referred to is sent before what refers to it."""
LEASED = frozenset({EXTENSION})
"""Types of resources that the proxy drops by itself unless they are sent again in time."""


def outbound(host: str, port: int, subset: str = "") -> str:
    """The cluster of a service's port, or of a subset of it."""
    return f"outbound|{port}|{subset}|{host}"


def asked_for(host: str, port: int, subset: str = "") -> str:
    """What proxies ask for by TLS when they mean a service's port, or a subset of it."""
    return f"outbound_.{port}_.{subset}_.{host}"


def inbound(port: int) -> str:
    """The cluster of the proxy's own application."""
    return f"inbound|{port}||"


def fault_slot(direction: str, index: int) -> str:
    """A filter that a fault may be put into; `direction` is `inbound` or `outbound`."""
    return f"chaos.{direction}.{index}"


def virtual_host(host: str, port: int) -> str:
    """The virtual host of a host on a port."""
    return f"{host}:{port}"


def host_of_routes(routes: str, host: str) -> str:
    """A virtual host as a resource of its own, of the routes of that name."""
    return f"{routes}/{host}"


def gateway_routes(port: int, bind: str = "") -> str:
    """The routes of a gateway's listener, named after the port (and the one address) that it listens on."""
    return f"http.{port}.{bind}" if bind else f"http.{port}"


def secure_routes(service_port: int, server: str, gateway: str, namespace: str) -> str:
    """The routes of a gateway's server behind TLS, named after the server."""
    return f"https.{service_port}.{server}.{gateway}.{namespace}"


def secret(credential: str, namespace: str = "") -> str:
    """A key pair, by the Secret's name, and its namespace where that is not the proxy's."""
    return (
        f"kubernetes-gateway://{namespace}/{credential}"
        if namespace
        else f"kubernetes://{credential}"
    )


def authorities(credential: str) -> str:
    """The authorities that belong to a key pair, by the Secret's name."""
    return f"kubernetes://{credential}-cacert"
