"""Mutual TLS between proxies, and TLS towards what is behind a cluster.

Keys and roots are files of the proxy's own, which the agent puts there and Envoy reads again when they change: the
control plane never has a workload's key. A proxy's TLS is told from an application's own by what it offers by ALPN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, config_source_pb2, proxy_protocol_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import (
    upstream_proxy_protocol_pb2 as upstream_proxy,
)
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from rollout.mesh.agent.settings import IDENTITY, IDENTITY_FILE, ROOTS, ROOTS_FILE
from rollout.mesh.model.identity import TRUST_DOMAIN
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.service import Port, Protocol, Resolution, Service
from rollout.mesh.model.traffic import ClientTLS, ClientTLSMode
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import pack
from rollout.mesh.translate.sources import ADS

HTTP_PROTOCOLS = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
PEER_PROTOCOLS = ("istio-peer-exchange", "istio")
"""Istio's words, in the order in which its proxies offer them; the servers here choose none."""

_SOCKET = "envoy.transport_sockets.tls"
_MATCH = "envoy.transport_socket_match"
_MODE = struct_pb2.Struct(fields={"tlsMode": struct_pb2.Value(string_value="istio")})
_SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
_URI, _DNS = common_pb2.SubjectAltNameMatcher.URI, common_pb2.SubjectAltNameMatcher.DNS


def apply_tls(
    cluster: Any,
    service: Service,
    port: Port,
    subset: str,
    given: ClientTLS | None,
    mesh: MutualTLS,
    accounts: Sequence[str],
) -> None:
    """What connections to a cluster's endpoints are wrapped in; `accounts` are the identities behind the service."""
    if given is None:
        inside = not service.external and service.resolution is Resolution.ENDPOINTS
        if mesh is MutualTLS.AUTO and inside:
            socket = _mesh_socket(service, port, subset, None, service.names or accounts)
            cluster.transport_socket_matches.extend((_where_sidecar(socket), _elsewhere()))
    elif given.mode is ClientTLSMode.MESH:
        if mesh is not MutualTLS.NONE:
            socket = _mesh_socket(service, port, subset, given, service.names or accounts)
            cluster.transport_socket.CopyFrom(socket)
    elif given.mode is not ClientTLSMode.DISABLE:
        cluster.transport_socket.CopyFrom(_own_socket(service, given))


def apply_announcement(cluster: Any, version: int) -> None:
    """Begins every connection with the caller's address, by the PROXY protocol; outside of any TLS."""
    if not version:
        return
    matches = [match.transport_socket for match in cluster.transport_socket_matches]
    for socket in matches or [cluster.transport_socket]:
        inner = base_pb2.TransportSocket()
        inner.CopyFrom(socket if socket.name else _plain())
        announced = upstream_proxy.ProxyProtocolUpstreamTransport(
            config=proxy_protocol_pb2.ProxyProtocolConfig(version=version - 1),
            transport_socket=inner,
        )
        socket.name = "envoy.transport_sockets.upstream_proxy_protocol"
        socket.typed_config.CopyFrom(pack(announced))


def mark(endpoint: Any) -> None:
    """Says of an endpoint that a proxy takes mutual TLS for it."""
    endpoint.metadata.filter_metadata[_MATCH].CopyFrom(_MODE)


def server_socket(only: Sequence[str] = ()) -> Any:
    """What a proxy ends mutual TLS with: any identity of the trust domain (or `only` these), no other.

    It chooses no ALPN: then HTTP/2 is told from HTTP/1 by its first bytes, as without TLS.
    """
    anybody = string_pb2.StringMatcher(prefix=f"spiffe://{TRUST_DOMAIN}/")
    named = [string_pb2.StringMatcher(exact=name) for name in only]
    context = tls.DownstreamTlsContext(
        common_tls_context=_common(named or [anybody]),
        require_client_certificate=wrappers_pb2.BoolValue(value=True),
    )
    return base_pb2.TransportSocket(name=_SOCKET, typed_config=pack(context))


def _mesh_socket(
    service: Service, port: Port, subset: str, given: ClientTLS | None, accounts: Sequence[str]
) -> Any:
    if given is not None and given.names:
        accounts = given.names
    matchers = [string_pb2.StringMatcher(exact=name) for name in accounts]
    if not matchers:
        # Nobody is known to be behind it: then whoever comes must at least be of its namespace.
        prefix = f"spiffe://{TRUST_DOMAIN}/ns/{service.namespace}/sa/"
        matchers = [string_pb2.StringMatcher(prefix=prefix)]
    common = _common(matchers)
    common.alpn_protocols.extend(_offered(port.protocol))
    sni = (given.sni if given else "") or names.asked_for(service.host, port.number, subset)
    context = tls.UpstreamTlsContext(common_tls_context=common, sni=sni)
    return base_pb2.TransportSocket(name=_SOCKET, typed_config=pack(context))


def _offered(protocol: Protocol) -> tuple[str, ...]:
    if not protocol.routed:
        return PEER_PROTOCOLS
    if protocol.multiplexed:
        return ("istio-h2", "istio")
    return ("istio-http/1.1", "istio")


def _common(matchers: Sequence[Any]) -> Any:
    kinds = common_pb2.SubjectAltNameMatcher
    return tls.CommonTlsContext(
        tls_params=_parameters(),
        tls_certificate_sds_secret_configs=[_from_file(IDENTITY, IDENTITY_FILE)],
        combined_validation_context=tls.CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=common_pb2.CertificateValidationContext(
                match_typed_subject_alt_names=[
                    kinds(san_type=_URI, matcher=matcher) for matcher in matchers
                ]
            ),
            validation_context_sds_secret_config=_from_file(ROOTS, ROOTS_FILE),
        ),
    )


def _parameters() -> Any:
    return common_pb2.TlsParameters(
        tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
        tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
    )


def _from_file(name: str, path: str) -> Any:
    source = config_source_pb2.ConfigSource(
        path_config_source=config_source_pb2.PathConfigSource(path=path), resource_api_version="V3"
    )
    return secret_pb2.SdsSecretConfig(name=name, sds_config=source)


def _where_sidecar(socket: Any) -> Any:
    return cluster_pb2.Cluster.TransportSocketMatch(
        name="tlsMode-istio", match=_MODE, transport_socket=socket
    )


def _elsewhere() -> Any:
    return cluster_pb2.Cluster.TransportSocketMatch(
        name="tlsMode-disabled", match=struct_pb2.Struct(), transport_socket=_plain()
    )


def _plain() -> Any:
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=pack(raw_buffer_pb2.RawBuffer())
    )


def _own_socket(service: Service, given: ClientTLS) -> Any:
    """TLS as any client's: SIMPLE, or MUTUAL with a certificate from files or from a Secret (gateways only)."""
    sni = given.sni or (service.host if "*" not in service.host else "")
    common = tls.CommonTlsContext(tls_params=_parameters())
    if given.mode is ClientTLSMode.MUTUAL and given.credential:
        by_name = secret_pb2.SdsSecretConfig(name=names.secret(given.credential), sds_config=ADS)
        common.tls_certificate_sds_secret_configs.append(by_name)
    elif given.mode is ClientTLSMode.MUTUAL and given.certificate:
        pair = common.tls_certificates.add()
        pair.certificate_chain.filename = given.certificate
        pair.private_key.filename = given.key
    if not given.unverified:
        _verify(common, given, given.names or service.names or ((sni,) if sni else ()))
    context = tls.UpstreamTlsContext(common_tls_context=common, sni=sni)
    return base_pb2.TransportSocket(name=_SOCKET, typed_config=pack(context))


def _verify(common: Any, given: ClientTLS, alternatives: Sequence[str]) -> None:
    kinds = common_pb2.SubjectAltNameMatcher
    validation = common_pb2.CertificateValidationContext(
        match_typed_subject_alt_names=[
            kinds(san_type=kind, matcher=string_pb2.StringMatcher(exact=name))
            for name in alternatives
            for kind in (_DNS, _URI)
        ]
    )
    if given.credential:
        found = common.combined_validation_context
        found.default_validation_context.CopyFrom(validation)
        found.validation_context_sds_secret_config.CopyFrom(
            secret_pb2.SdsSecretConfig(name=names.authorities(given.credential), sds_config=ADS)
        )
        return
    validation.trusted_ca.filename = given.authorities or _SYSTEM_ROOTS
    if given.revoked:
        validation.crl.filename = given.revoked
    common.validation_context.CopyFrom(validation)
