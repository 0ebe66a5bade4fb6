"""Virtual hosts and route configurations, put together from the features of single routes.

A virtual host's bytes are made once and shared; a configuration is their concatenation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.config.route.v3 import route_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.routing import (
    NOWHERE,
    Caller,
    DirectResponse,
    Match,
    Redirect,
    Route,
)
from rollout.mesh.translate import names
from rollout.mesh.translate.callers import PEER_HEADER
from rollout.mesh.translate.cors import FILTER, cors_policy
from rollout.mesh.translate.faults import FILTER as FAULT
from rollout.mesh.translate.faults import fault_policy
from rollout.mesh.translate.headers import authority, edit_headers
from rollout.mesh.translate.matches import route_match
from rollout.mesh.translate.mirror import mirror_policies
from rollout.mesh.translate.redirect import direct_response, redirect_action
from rollout.mesh.translate.resource import (
    Resource,
    digest,
    field_bytes,
    pack,
    resource,
    serialize,
)
from rollout.mesh.translate.retries import DEFAULT, retry_policy
from rollout.mesh.translate.rewrite import apply_rewrite
from rollout.mesh.translate.sources import ADS
from rollout.mesh.translate.timeouts import apply_timeout
from rollout.mesh.translate.tracing import decorate
from rollout.mesh.translate.weights import ClusterOf, apply_destinations

_DOMAINS = 2
_VIRTUAL_HOSTS = 2
_MAX_BODY = 1 << 20


def http_routes(
    routes: Iterable[Route],
    cluster_of: ClusterOf,
    *,
    port: int,
    gateways: frozenset[str],
    callers: frozenset[Caller] = frozenset(),
    owner: str = "",
) -> list[Any]:
    """Envoy's routes for what is reached on a port through any of the gateways; nothing follows a catch-all.

    `callers` are the conditions on callers that hold for the proxy, `owner` is whose rules these are.
    """
    found: list[Any] = []
    for route in routes:
        for match in _applying(route, port, gateways, callers):
            found.append(_route(route, match, cluster_of, port))
            if cluster_of.traced:
                decorate(found[-1], owner, port)
            if match is None:
                return found
    return found


def _applying(
    route: Route, port: int, gateways: frozenset[str], callers: frozenset[Caller]
) -> Iterator[Match | None]:
    if not route.matches:
        yield None
    for match in route.matches:
        if match.port not in {None, port}:
            continue
        if match.gateways and gateways.isdisjoint(match.gateways):
            continue
        if match.caller and match.caller not in callers:
            continue
        yield match


def _route(route: Route, match: Match | None, cluster_of: ClusterOf, port: int) -> Any:
    found = rc.Route(name=_named(route, match), match=route_match(match))
    if match is not None and match.stat_prefix:
        found.stat_prefix = match.stat_prefix
    if isinstance(route.action, Redirect):
        found.redirect.CopyFrom(redirect_action(route.action, port))
    elif isinstance(route.action, DirectResponse):
        found.direct_response.CopyFrom(direct_response(route.action))
    else:
        _forward(found.route, route, match, cluster_of)
    edit_headers(found, route.headers)
    if route.cors is not None:
        found.typed_per_filter_config[FILTER].CopyFrom(pack(cors_policy(route.cors)))
    if route.fault is not None:
        found.typed_per_filter_config[FAULT].CopyFrom(pack(fault_policy(route.fault)))
    return found


def _named(route: Route, match: Match | None) -> str:
    """As Istio names it: by the rule, and the one of its matches."""
    return ".".join(filter(None, (route.name, match.name if match is not None else "")))


def _forward(action: Any, route: Route, match: Match | None, cluster_of: ClusterOf) -> None:
    assert isinstance(route.action, tuple)  # noqa: S101 - narrows the union for the type checker
    apply_destinations(action, route.action, cluster_of)
    if any(share.destination == NOWHERE for share in route.action):
        action.cluster_not_found_response_code = rc.RouteAction.INTERNAL_SERVER_ERROR
    apply_timeout(action, route)
    if route.rewrite is not None:
        apply_rewrite(action, route.rewrite, match)
    if host := authority(route.headers):
        action.host_rewrite_literal = host
    if route.retries is not None:
        action.retry_policy.CopyFrom(retry_policy(route.retries))
        if route.retries.hedge:
            action.hedge_policy.hedge_on_per_try_timeout = True
    action.request_mirror_policies.extend(mirror_policies(route.mirrors, cluster_of))


def default_route(cluster: str) -> Any:
    """The route of a service that no rule is about."""
    route = rc.Route(name="default", match=route_match(None))
    route.route.cluster = cluster
    route.route.timeout.SetInParent()
    return route


def virtual_host(name: str, domains: Iterable[str], routes: Iterable[Any]) -> bytes:
    """A serialized virtual host with the default retries."""
    host = rc.VirtualHost(
        name=name,
        domains=domains,
        routes=routes,
        retry_policy=retry_policy(DEFAULT),
        include_request_attempt_count=True,
    )
    return serialize(host)


def with_domains(host: bytes, domains: Iterable[str]) -> bytes:
    """The same virtual host under more domains."""
    return host + b"".join(field_bytes(_DOMAINS, domain.encode()) for domain in domains)


def allow_any() -> bytes:
    """Requests to hosts that the mesh doesn't know go where the application sent them."""
    host = rc.VirtualHost(
        name="allow_any", domains=["*"], routes=[default_route(names.PASSTHROUGH)]
    )
    # The peer's name is nobody's business outside the mesh.
    host.request_headers_to_remove.append(PEER_HEADER)
    host.routes[0].name = "allow_any"
    return serialize(host)


def block_all() -> bytes:
    """Requests to hosts that the mesh doesn't know are refused: 502, as Istio's."""
    route = rc.Route(name="block_all", match=route_match(None))
    route.direct_response.status = 502
    return serialize(rc.VirtualHost(name="block_all", domains=["*"], routes=[route]))


def black_hole(port: int) -> bytes:
    """What a gateway without routes answers: 404."""
    route = rc.Route(match=route_match(None))
    route.direct_response.status = 404
    host = rc.VirtualHost(name=f"blackhole:{port}", domains=["*"], routes=[route])
    return serialize(host)


def redirected(name: str, host: str) -> bytes:
    """A virtual host whose callers are sent to HTTPS."""
    return serialize(
        rc.VirtualHost(name=name, domains=[host], require_tls=rc.VirtualHost.TlsRequirementType.ALL)
    )


def framed(host: bytes) -> bytes:
    """A virtual host as a field of its configuration."""
    return field_bytes(_VIRTUAL_HOSTS, host)


def host_resource(routes: str, host: str, framed_host: bytes) -> Resource:
    """A framed virtual host as a resource of its own."""
    at = 1
    while framed_host[at] & 0x80:
        at += 1
    name = names.host_of_routes(routes, host)
    # Envoy puts it under its own name and takes it away by the resource's: the last name of a message counts.
    return resource(names.VIRTUAL_HOST, name, framed_host[at + 1 :] + field_bytes(1, name.encode()))


def empty_configuration(name: str) -> Resource:
    """A configuration whose virtual hosts are resources of their own."""
    shell = _shell(name)
    shell.vhds.config_source.CopyFrom(ADS)
    return resource(names.ROUTES, name, serialize(shell))


def _shell(name: str) -> Any:
    return route_pb2.RouteConfiguration(
        name=name,
        validate_clusters=wrappers_pb2.BoolValue(value=False),
        max_direct_response_body_size_bytes=wrappers_pb2.UInt32Value(value=_MAX_BODY),
        ignore_port_in_host_matching=True,
    )


def route_configuration(name: str, hosts: Iterable[bytes], digests: str = "") -> Resource:
    """Virtual hosts, framed, put together; a port in the authority is ignored in the choice among them.

    The version is a hash of the whole, by way of the hosts' own where they are given.
    """
    head = serialize(_shell(name))
    version = digest(head + digests.encode()) if digests else ""
    return resource(names.ROUTES, name, b"".join((head, *hosts)), version)
