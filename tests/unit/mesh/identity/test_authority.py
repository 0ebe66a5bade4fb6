from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from rollout.mesh.identity import authority as ca
from rollout.mesh.identity.authority import (
    CA_CERT,
    CA_KEY,
    CHAIN,
    ROOT,
    Authority,
    Lifetimes,
    RefusedError,
    UnusableError,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URI = "spiffe://cluster.local/ns/shop/sa/catalog"
DAY = timedelta(days=1)


def request(*names: x509.GeneralName, key: ec.EllipticCurvePrivateKey | None = None) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def intermediate(root: Authority) -> dict[str, bytes]:
    """What somebody puts into `cacerts`: an authority below a root."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "below")]))
        .issuer_name(root.parsed.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root.private, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {CA_CERT: certificate, CA_KEY: private, CHAIN: certificate, ROOT: root.certificate}


def test_an_intermediate_signs_and_sends_its_chain() -> None:
    root = ca.self_signed(NOW)
    found = ca.read(intermediate(root), NOW)
    leaf = ca.sign(found, request(), URI, DAY, NOW)
    chain = ca.chain_of(found, leaf)
    assert chain == [leaf, found.certificate.decode(), root.certificate.decode()]
    certificate = x509.load_pem_x509_certificate(leaf.encode())
    certificate.verify_directly_issued_by(found.parsed)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == NOW + DAY


def test_no_certificate_outlives_its_authority() -> None:
    found = ca.read(intermediate(ca.self_signed(NOW)), NOW)
    leaf = ca.sign(found, request(), URI, DAY, NOW + 29.5 * DAY)
    until = x509.load_pem_x509_certificate(leaf.encode()).not_valid_after_utc
    assert until == found.parsed.not_valid_after_utc


def test_a_root_signed_again_takes_what_was_signed_before() -> None:
    old = ca.self_signed(NOW)
    leaf = x509.load_pem_x509_certificate(ca.sign(old, request(), URI, DAY, NOW).encode())
    later = NOW + timedelta(days=3000)
    assert ca.due(old, later)
    assert not ca.due(old, NOW + timedelta(days=2900))
    new = ca.self_signed(later, old)
    leaf.verify_directly_issued_by(new.parsed)
    assert not ca.due(new, later)


def weak() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("csr", "reason"),
    [
        ("nonsense", "not a certificate signing request"),
        ("x" * 20_000, "longer than"),
        (weak(), "neither elliptic-curve nor RSA"),
        (request(x509.UniformResourceIdentifier(URI + "2")), "other names than"),
        (request(x509.UniformResourceIdentifier(URI), x509.DNSName("a.b")), "other names than"),
        (request(x509.DNSName("istiod.istio-system.svc")), "other names than"),
    ],
    ids=["nonsense", "too long", "weak key", "another's name", "one name more", "a server's name"],
)
def test_what_is_not_signed(csr: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        ca.sign(ca.self_signed(NOW), csr, URI, DAY, NOW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({CA_KEY: b""}, f"{CA_KEY} is missing"),
        ({CA_CERT: b"nonsense"}, "is not PEM"),
        ({ROOT: b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"}, "is not PEM"),
        ({CA_KEY: ca.self_signed(NOW).key}, "is not the key of"),
        ({ROOT: ca.self_signed(NOW).certificate}, "does not lead to a root"),
    ],
    ids=["no key", "no certificate", "no root", "another key", "another root"],
)
def test_what_no_authority_is_made_of(change: dict[str, bytes], reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        ca.read(intermediate(ca.self_signed(NOW)) | change, NOW)


def test_an_authority_that_has_ended_is_none() -> None:
    data = intermediate(ca.self_signed(NOW))
    with pytest.raises(UnusableError, match="not valid now"):
        ca.read(data, NOW + 31 * DAY)


def test_the_key_is_not_shown() -> None:
    found = ca.self_signed(NOW)
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("asked", "given"),
    [(0, 3600), (-5, 3600), (60, 60), (7200, 7200), (3 * 86400, 86400), (1, 10)],
)
def test_how_long_a_certificate_holds(asked: int, given: int) -> None:
    lifetimes = Lifetimes(usual=timedelta(hours=1), most=timedelta(days=1))
    assert lifetimes.of(asked) == timedelta(seconds=given)


@pytest.mark.parametrize(
    ("usual", "most"), [(5, 60), (120, 60), (60, 400 * 86400)], ids=["short", "above", "long"]
)
def test_lifetimes_that_make_no_sense(usual: int, most: int) -> None:
    with pytest.raises(ValueError, match="give 10s to 8760h"):
        Lifetimes(usual=timedelta(seconds=usual), most=timedelta(seconds=most))
