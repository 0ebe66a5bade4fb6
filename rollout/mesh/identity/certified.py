"""Who shows a certificate of the mesh's.

That an authority in trust has signed it was found out when the connection was made; a connection may outlive what was
shown on it, which is why the time is looked at again. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from cryptography import x509

from rollout.mesh.identity.caller import Caller, UnauthenticatedError
from rollout.mesh.model.identity import TRUST_DOMAIN, of_uri

_CERTIFICATE = "x509_pem_cert"


def caller(properties: Mapping[str, Iterable[bytes]], now: datetime) -> Caller:
    """By what gRPC says of a connection's other side; `UnauthenticatedError` where it is nobody of the mesh's.

    A certificate says whose service account it is, but not which pod's.
    """
    shown = next(iter(properties.get(_CERTIFICATE) or ()), b"")
    try:
        certificate = x509.load_pem_x509_certificate(shown)
        names = _names(certificate)
    except ValueError as error:
        raise UnauthenticatedError(f"no certificate that can be read: {error}") from None
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise UnauthenticatedError(
            f"the certificate ended at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}:"
            " connect again with the new one"
        )
    identity = of_uri(names[0]) if len(names) == 1 else None
    if identity is None:
        raise UnauthenticatedError(
            f"the certificate is of {', '.join(names) or 'no URI'}: it must name one"
            f" spiffe://{TRUST_DOMAIN}/ns/NAMESPACE/sa/ACCOUNT"
        )
    return Caller(identity)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.UniformResourceIdentifier)
