"""Which Secrets are credentials, and what is said of the others without quoting them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from rollout.mesh.ingest.credentials import Unusable, credential, trim_secret
from tests.certificates import Authority, Key, secret_data

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("a.example.com")
_, OTHER_KEY = AUTHORITY.issue("b.example.com")


@pytest.mark.parametrize(
    ("pem", "pair", "authorities"),
    [
        ({"tls_crt": CERTIFICATE, "tls_key": KEY}, True, False),
        ({"cert": CERTIFICATE, "key": KEY, "cacert": AUTHORITY.certificate}, True, True),
        ({"tls_crt": CERTIFICATE, "tls_key": KEY, "ca_crt": AUTHORITY.certificate}, True, True),
        ({"ca_crt": AUTHORITY.certificate}, False, True),
        ({"cacert": AUTHORITY.certificate}, False, True),
    ],
    ids=["tls", "Istio's older keys", "mutual", "authorities apart", "older authorities apart"],
)
def test_credential(pem: dict[str, bytes], pair: bool, authorities: bool) -> None:
    found = credential({"data": secret_data(**pem)})
    assert (bool(found.certificate and found.key), bool(found.authorities)) == (pair, authorities)
    assert "BEGIN" not in repr(found)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "has neither tls.crt with tls.key nor ca.crt"),
        ({"password": "eA=="}, "has neither"),
        (secret_data(tls_crt=CERTIFICATE), "has neither"),
        (secret_data(tls_crt=CERTIFICATE, tls_key=OTHER_KEY), "tls.key is not the key of tls.crt"),
        (secret_data(tls_crt=b"x", tls_key=KEY), "tls.crt is not a PEM certificate"),
        (secret_data(tls_crt=CERTIFICATE, tls_key=b"x"), "tls.key is not an unencrypted PEM key"),
        (secret_data(ca_crt=b"x"), "ca.crt is not a PEM certificate"),
        (secret_data(ca_crt=AUTHORITY.certificate, ca_crl=b"x"), "ca.crl is not a PEM list"),
        ({"tls.crt": "%", "tls.key": "%"}, "tls.crt is not base64"),
    ],
)
def test_unusable(data: dict[str, str], reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        credential({"data": data})


def test_of_a_secret_only_certificates_are_kept() -> None:
    secret = {
        "metadata": {"name": "n", "namespace": "s", "annotations": {"last-applied": "everything"}},
        "data": {"tls.key": "eA==", "password": "eA=="},
    }
    assert trim_secret(secret) == {
        "metadata": {"name": "n", "namespace": "s"},
        "data": {"tls.key": "eA=="},
    }


@pytest.mark.parametrize(
    ("key", "taken"),
    [
        (rsa.generate_private_key(65537, 2048), True),
        (rsa.generate_private_key(65537, 1024), False),
        (ec.generate_private_key(ec.SECP384R1()), True),
        (ec.generate_private_key(ec.SECP256K1()), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
    ],
    ids=["RSA", "short RSA", "P-384", "another curve", "Ed25519"],
)
def test_keys_that_envoy_takes(key: Key, taken: bool) -> None:
    certificate, written = AUTHORITY.issue("a.example.com", key=key)
    secret = {"data": secret_data(tls_crt=certificate, tls_key=written)}
    if taken:
        assert credential(secret).key == written
        return
    with pytest.raises(Unusable, match="neither RSA of 2048 bits"):
        credential(secret)
