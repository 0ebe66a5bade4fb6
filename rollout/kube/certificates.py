"""A self-signed authority and the serving certificate below it: issuing, reading back, and when they are due.

Takes the time as an argument. Knows X.509 and PEM; not where the material is kept or served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3650)
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both PEM; the key stays out of `repr`."""

    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def parsed(self) -> x509.Certificate:
        """The certificate, decoded; raises ValueError where it is not one."""
        return x509.load_pem_x509_certificate(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What a webhook server needs: the authority that clients trust, and the certificate that it shows."""

    ca: KeyPair
    serving: KeyPair


def issue_ca(common_name: str, now: datetime, lifetime: timedelta = CA_LIFETIME) -> KeyPair:
    """A new self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue_serving(
    ca: KeyPair, dns_names: Sequence[str], now: datetime, lifetime: timedelta
) -> KeyPair:
    """A serving certificate for the names, signed by the authority and ending no later than it."""
    ca_certificate = ca.parsed
    ca_key = serialization.load_pem_private_key(ca.key, None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    lifetime = min(lifetime, ca_certificate.not_valid_after_utc - now)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_names[0][:64])])
    certificate = (
        _builder(subject, ca_certificate.subject, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in dns_names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return _pair(certificate, key)


def renewal_time(pair: KeyPair) -> datetime:
    """When two thirds of the certificate's life are over."""
    certificate = pair.parsed
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start + (end - start) * 2 / 3


def renew(
    chain: Chain | None,
    common_name: str,
    dns_names: Sequence[str],
    now: datetime,
    lifetime: timedelta,
) -> Chain:
    """The chain to use now: the given one where it still serves, else one with what is due issued anew."""
    ca = chain.ca if chain is not None and _ca_serves(chain.ca, now) else None
    if chain is not None and ca is not None and _serving_serves(chain.serving, ca, dns_names, now):
        return chain
    ca = ca or issue_ca(common_name, now)
    return Chain(ca=ca, serving=issue_serving(ca, dns_names, now, lifetime))


def _ca_serves(ca: KeyPair, now: datetime) -> bool:
    try:
        key = serialization.load_pem_private_key(ca.key, None)
        certificate = ca.parsed
    except (ValueError, TypeError):
        return False
    return (
        certificate.not_valid_before_utc <= now < renewal_time(ca)
        and certificate.public_key() == key.public_key()
    )


def _serving_serves(serving: KeyPair, ca: KeyPair, dns_names: Sequence[str], now: datetime) -> bool:
    try:
        key = serialization.load_pem_private_key(serving.key, None)
        certificate = serving.parsed
        certificate.verify_directly_issued_by(ca.parsed)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    names = set(alternatives.value.get_values_for_type(x509.DNSName))
    return (
        certificate.not_valid_before_utc <= now < renewal_time(serving)
        and certificate.public_key() == key.public_key()
        and names.issuperset(dns_names)
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(CLOCK_SKEW, lifetime / 10))
        .not_valid_after(now + lifetime)
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
