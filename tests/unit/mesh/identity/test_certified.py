"""Whom a certificate makes its owner, and when it makes him nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rollout.mesh.identity.caller import Caller, UnauthenticatedError
from rollout.mesh.identity.certified import caller
from rollout.mesh.model.identity import Identity, of_uri

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CATALOG = "spiffe://cluster.local/ns/shop/sa/catalog"


def shown(*names: x509.GeneralName) -> dict[str, Sequence[bytes]]:
    """As gRPC tells it of a connection."""
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {"transport_security_type": [b"ssl"], "x509_pem_cert": [pem]}


def uri(name: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(name)


def test_a_certificate_is_a_service_accounts() -> None:
    assert caller(shown(uri(CATALOG)), NOW) == Caller(Identity("shop", "catalog"))


@pytest.mark.parametrize(
    ("properties", "after", "reason"),
    [
        ({}, timedelta(), "no certificate that can be read"),
        ({"x509_pem_cert": [b"nonsense"]}, timedelta(), "no certificate that can be read"),
        (shown(uri(CATALOG)), DAY, "ended at 2026-11-22T12:00:00Z"),
        (shown(uri(CATALOG)), -DAY, "ended at"),
        (shown(), timedelta(), "of no URI"),
        (shown(x509.DNSName("rollout-mesh.rollout-system.svc")), timedelta(), "of no URI"),
        (shown(uri("spiffe://other/ns/shop/sa/catalog")), timedelta(), "must name one spiffe://"),
        (shown(uri(CATALOG), uri(CATALOG + "2")), timedelta(), "must name one spiffe://"),
    ],
)
def test_what_makes_nobody(
    properties: dict[str, Sequence[bytes]], after: timedelta, reason: str
) -> None:
    with pytest.raises(UnauthenticatedError, match=reason):
        caller(properties, NOW + after)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        (CATALOG, Identity("shop", "catalog")),
        (CATALOG + "/more", None),
        ("spiffe://cluster.local/ns/shop", None),
        ("spiffe://cluster.local/ns//sa/catalog", None),
        ("https://cluster.local/ns/shop/sa/catalog", None),
        ("spiffe://clusterXlocal/ns/shop/sa/catalog", None),
    ],
)
def test_names_that_are_the_meshs(name: str, identity: Identity | None) -> None:
    assert of_uri(name) == identity
