"""The mesh's certificate authority: reading its material, making one's own, and signing workloads' requests.

Takes the time as an argument. Knows X.509 and PEM; not who asks, nor where the material is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rollout.api.durations import format_go_duration
from rollout.kube.certificates import CA_LIFETIME, CLOCK_SKEW, KeyPair, issue_ca

SERVING_LIFETIME = timedelta(days=7)
LEAST_LIFETIME, MOST_LIFETIME = timedelta(seconds=10), timedelta(days=365)
MOST_REQUEST = 16 << 10
_LEAST_RSA = 2048
_ORGANIZATION = "cluster.local"

CA_CERT, CA_KEY, CHAIN, ROOT = "ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"
"""The keys of Istio's Secrets `cacerts` and `istio-ca-secret`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long workloads' certificates hold: where a proxy asks for nothing, and at most."""

    usual: timedelta = timedelta(hours=24)
    most: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        if not LEAST_LIFETIME <= self.usual <= self.most <= MOST_LIFETIME:
            usual, most, least, longest = map(
                format_go_duration, (self.usual, self.most, LEAST_LIFETIME, MOST_LIFETIME)
            )
            raise ValueError(
                f"certificates that hold {usual}, and {most} at most: give {least} to {longest},"
                " and no more than the most"
            )

    def of(self, seconds: int) -> timedelta:
        """For a request of so many seconds; more than the most is shortened to it, as nothing else is asked for."""
        asked = timedelta(seconds=seconds) if seconds > 0 else self.usual
        return min(max(asked, LEAST_LIFETIME), self.most)


class RefusedError(ValueError):
    """A request that is not signed; the text says why and names no secret."""


class UnusableError(ValueError):
    """Material that no authority can be made of; the text names the key of the Secret, the reason and the remedy."""


@dataclass(frozen=True)
class Authority:
    """What signs: a certificate with its key, the intermediates above it, and the roots that proxies trust."""

    certificate: bytes
    key: bytes = field(repr=False)
    chain: bytes
    roots: tuple[bytes, ...]

    @cached_property
    def parsed(self) -> x509.Certificate:
        """The signing certificate."""
        return x509.load_pem_x509_certificate(self.certificate)

    @cached_property
    def private(self) -> Any:
        """The signing key."""
        return serialization.load_pem_private_key(self.key, None)

    def data(self) -> dict[str, bytes]:
        """As a Secret's keys."""
        return {
            CA_CERT: self.certificate,
            CA_KEY: self.key,
            CHAIN: self.chain,
            ROOT: b"".join(self.roots),
        }


def read(data: Mapping[str, bytes], now: datetime) -> Authority:
    """The authority in a Secret with Istio's keys; `UnusableError` where it could not sign."""
    for name in (CA_CERT, CA_KEY):
        if not data.get(name):
            raise UnusableError(f"{name} is missing: add it, PEM")
    chain = data.get(CHAIN, b"")
    roots = certificates(data.get(ROOT) or chain or data[CA_CERT], ROOT)
    found = Authority(data[CA_CERT], data[CA_KEY], _pem(certificates(chain, CHAIN)), roots)
    try:
        certificate, key = found.parsed, found.private
    except (ValueError, TypeError) as error:
        raise UnusableError(
            f"{CA_CERT} or {CA_KEY} is not PEM without a password: {error}"
        ) from None
    if certificate.public_key() != key.public_key():
        raise UnusableError(f"{CA_KEY} is not the key of {CA_CERT}: they must be a pair")
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise UnusableError(
            f"{CA_KEY} is neither an elliptic-curve nor an RSA key: use one of these"
        )
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise UnusableError(f"{CA_CERT} is not valid now: renew it")
    if not _leads_to_root(found):
        raise UnusableError(f"{CA_CERT} does not lead to a root of {ROOT}: complete {CHAIN}")
    return found


def self_signed(now: datetime, old: Authority | None = None) -> Authority:
    """A root of one's own; with an old one its key is kept, so that what it signed stays valid."""
    pair = issue_ca(_ORGANIZATION, now) if old is None else _reissued(old, now)
    return Authority(pair.certificate, pair.key, b"", (pair.certificate,))


def due(authority: Authority, now: datetime) -> bool:
    """Whether four fifths of the signing certificate's life are over."""
    certificate = authority.parsed
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= start + (end - start) * 4 / 5


def sign(authority: Authority, request: str, uri: str, lifetime: timedelta, now: datetime) -> str:
    """The certificate for a CSR, PEM: it carries this URI and nothing else of what was asked for."""
    csr = _request(request)
    _check_names(csr, uri)
    key = csr.public_key()
    return _issue(authority, key, [x509.UniformResourceIdentifier(uri)], lifetime, now).decode()


def serving(authority: Authority, names: Sequence[str], now: datetime) -> KeyPair:
    """What the control plane shows to proxies, its intermediates appended."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [x509.DNSName(name) for name in names]
    certificate = _issue(authority, key.public_key(), alternatives, SERVING_LIFETIME, now)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return KeyPair(certificate=certificate + _above(authority), key=private)


def chain_of(authority: Authority, certificate: str) -> list[str]:
    """What a workload is sent: its certificate, the intermediates, and a root as the last."""
    above = certificates(_above(authority), CHAIN)
    return [certificate, *(each.decode() for each in (*above, authority.roots[0]))]


def certificates(pem: bytes, name: str) -> tuple[bytes, ...]:
    """The single certificates of a file, PEM; `UnusableError` where it is not one."""
    if not pem.strip():
        return ()
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise UnusableError(f"{name} is not PEM: {error}") from None
    return tuple(each.public_bytes(serialization.Encoding.PEM) for each in found)


def _pem(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)


def _above(authority: Authority) -> bytes:
    """The certificates between a leaf and the root, the signing one first; nothing where the root itself signs."""
    signing = authority.parsed.public_bytes(serialization.Encoding.PEM)
    every = dict.fromkeys((signing, *certificates(authority.chain, CHAIN)))
    return _pem([each for each in every if each not in authority.roots])


def _leads_to_root(authority: Authority) -> bool:
    links = [authority.parsed, *map(x509.load_pem_x509_certificate, _above_parts(authority))]
    roots = [x509.load_pem_x509_certificate(root) for root in authority.roots]
    if links[0] in roots:
        return True
    return any(_issued(link, root) for link in links for root in roots) and all(
        any(_issued(link, upper) for upper in (*links, *roots)) for link in links
    )


def _above_parts(authority: Authority) -> tuple[bytes, ...]:
    return certificates(_above(authority), CHAIN)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _request(text: str) -> x509.CertificateSigningRequest:
    if len(text) > MOST_REQUEST:
        raise RefusedError(f"the request is longer than {MOST_REQUEST} bytes")
    try:
        csr = x509.load_pem_x509_csr(text.encode())
        valid = csr.is_signature_valid
        key = csr.public_key()
    except (ValueError, TypeError) as error:
        raise RefusedError(f"not a certificate signing request in PEM: {error}") from None
    if not valid:
        raise RefusedError("the request is not signed by its own key")
    strong = isinstance(key, ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA
    )
    if not strong:
        raise RefusedError(
            f"the key is neither elliptic-curve nor RSA of {_LEAST_RSA} bits or more"
        )
    return csr


def _check_names(csr: x509.CertificateSigningRequest, uri: str) -> None:
    try:
        asked = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    except ValueError as error:
        raise RefusedError(f"the request's extensions cannot be read: {error}") from None
    if list(asked) != [x509.UniformResourceIdentifier(uri)]:
        raise RefusedError(f"the request asks for other names than {uri}, whose token came with it")


def _issue(
    authority: Authority,
    key: Any,
    names: Sequence[x509.GeneralName],
    lifetime: timedelta,
    now: datetime,
) -> bytes:
    issuer = authority.parsed
    until = min(now + lifetime, issuer.not_valid_after_utc)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=isinstance(key, rsa.RSAPublicKey),
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        # Without a subject the names are critical (RFC 5280), which is how SPIFFE wants them.
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.private.public_key()),
            critical=False,
        )
    )
    certificate = builder.sign(authority.private, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def _reissued(old: Authority, now: datetime) -> KeyPair:
    before = old.parsed
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _ORGANIZATION)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(old.private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + CA_LIFETIME)
    )
    for extension in before.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    certificate = builder.sign(old.private, hashes.SHA256())
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=old.key)
