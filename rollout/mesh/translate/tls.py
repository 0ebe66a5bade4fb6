"""TLS at gateways: what a listener's chain is given, and the keys that it finds by name (SDS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.credential import Credential
from rollout.mesh.model.gateway import ServerTLS, TLSMode
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.traffic import ClientTLS, ClientTLSMode
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, pack, wrap
from rollout.mesh.translate.sources import ADS

_SOCKET = "envoy.transport_sockets.tls"
_VERSIONS = {
    10: common_pb2.TlsParameters.TLSv1_0,
    11: common_pb2.TlsParameters.TLSv1_1,
    12: common_pb2.TlsParameters.TLSv1_2,
    13: common_pb2.TlsParameters.TLSv1_3,
}
_LEAST = 12
"""Istio's: clients that speak nothing newer are refused unless a server says otherwise."""
APART = "-cacert"
"""Ends the name of a Secret that holds the authorities of the one without it."""
HTTP_PROTOCOLS = ("h2", "http/1.1")


def downstream(given: ServerTLS, protocols: tuple[str, ...] = ()) -> Any:
    """The transport socket of a chain that ends TLS; `protocols` are offered by ALPN."""
    common = tls.CommonTlsContext(
        tls_params=parameters(given),
        alpn_protocols=protocols,
        tls_certificate_sds_secret_configs=[
            by_name(names.secret(given.credential, given.namespace))
        ],
    )
    if given.mode.asks_client:
        common.combined_validation_context.CopyFrom(
            validation(names.authorities(given.credential), given.names)
        )
    context = tls.DownstreamTlsContext(
        common_tls_context=common,
        require_client_certificate=wrappers_pb2.BoolValue(value=given.mode is TLSMode.MUTUAL),
    )
    return base_pb2.TransportSocket(name=_SOCKET, typed_config=pack(context))


def parameters(given: ServerTLS) -> Any:
    """Versions and ciphers."""
    least = given.least or min(_LEAST, given.most or _LEAST)
    return common_pb2.TlsParameters(
        tls_minimum_protocol_version=_VERSIONS[least],
        tls_maximum_protocol_version=_VERSIONS[given.most or 13],
        cipher_suites=given.ciphers,
    )


def validation(secret: str, alternative_names: tuple[str, ...]) -> Any:
    """Whom the other side's certificate may come from, and which of these names it must carry."""
    kinds = common_pb2.SubjectAltNameMatcher
    matchers = [
        kinds(san_type=kind, matcher=string_pb2.StringMatcher(exact=name))
        for name in alternative_names
        for kind in (kinds.DNS, kinds.URI)
    ]
    return tls.CommonTlsContext.CombinedCertificateValidationContext(
        default_validation_context=common_pb2.CertificateValidationContext(
            match_typed_subject_alt_names=matchers
        ),
        validation_context_sds_secret_config=by_name(secret),
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """What one side's TLS needs, as far as it is there; `warning` says what is wrong with what it goes on without."""

    resources: tuple[Resource, ...]
    warning: str = ""


def keys(given: ServerTLS, namespace: str, registry: Registry) -> Keys | str:
    """The keys of a server for proxies of a namespace; the reason where one is missing."""
    found = [_pair(given.credential, given.namespace or namespace, registry, given.namespace)]
    if given.mode.asks_client:
        found.append(_trusted(given.credential, namespace, registry))
    return _together(found)


def client_keys(given: ClientTLS, namespace: str, registry: Registry) -> Keys | str:
    """The keys of a gateway that is a client itself; the reason where one is missing."""
    found = [] if given.unverified else [_trusted(given.credential, namespace, registry)]
    if given.mode is ClientTLSMode.MUTUAL:
        found.append(_pair(given.credential, namespace, registry))
    return _together(found)


def _together(found: Sequence[Keys | str]) -> Keys | str:
    resources: list[Resource] = []
    warnings: list[str] = []
    for each in found:
        if isinstance(each, str):
            return each
        resources += each.resources
        warnings += [each.warning] if each.warning else []
    return Keys(tuple(resources), "; ".join(dict.fromkeys(warnings)))


def _pair(name: str, namespace: str, registry: Registry, shown: str = "") -> Keys | str:
    found = registry.credentials.get((namespace, name))
    if found is None or not found.key:
        return _missing(registry, namespace, name, "has no tls.crt with tls.key")
    secret = certificate_secret(names.secret(name, shown), found)
    return Keys((secret,), _fault(registry, namespace, name))


def _trusted(name: str, namespace: str, registry: Registry) -> Keys | str:
    for source in (name + APART, name):
        found = registry.credentials.get((namespace, source))
        if found is not None and found.authorities:
            secret = authorities_secret(names.authorities(name), found)
            return Keys((secret,), _fault(registry, namespace, source))
    return _missing(registry, namespace, name, f"has no ca.crt, nor is there {name}{APART}")


def _missing(registry: Registry, namespace: str, name: str, otherwise: str) -> str:
    if not registry.reads_credentials(namespace):
        return (
            f"Secrets of namespace {namespace} are not read (chart value mesh.credentialNamespaces)"
        )
    fault = registry.credential_faults.get((namespace, name))
    present = (namespace, name) in registry.credentials
    return f"Secret {namespace}/{name} {fault or (otherwise if present else 'does not exist')}"


def _fault(registry: Registry, namespace: str, name: str) -> str:
    fault = registry.credential_faults.get((namespace, name))
    return f"Secret {namespace}/{name} {fault}: its last good contents stay in use" if fault else ""


def by_name(secret: str) -> Any:
    """A Secret that the proxy asks for over the stream that all else comes by."""
    return secret_pb2.SdsSecretConfig(name=secret, sds_config=ADS)


def certificate_secret(name: str, found: Credential) -> Resource:
    """A key with its chain."""
    secret = secret_pb2.Secret(name=name)
    secret.tls_certificate.certificate_chain.inline_bytes = found.certificate
    secret.tls_certificate.private_key.inline_bytes = found.key
    return wrap(names.SECRET, name, secret)


def authorities_secret(name: str, found: Credential) -> Resource:
    """The authorities that the other side's certificate may come from, and what they have revoked."""
    secret = secret_pb2.Secret(name=name)
    secret.validation_context.trusted_ca.inline_bytes = found.authorities
    if found.revoked:
        secret.validation_context.crl.inline_bytes = found.revoked
    return wrap(names.SECRET, name, secret)
