"""Secrets to credentials, as Istio reads them: a key pair by one of two spellings, authorities beside it or apart.

What Envoy would refuse is found here: a Secret that cannot be used is a reason, and whoever had it keeps the last one.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rollout.mesh.ingest.services import Json
from rollout.mesh.model.credential import Credential

_PAIRS = (("tls.crt", "tls.key"), ("cert", "key"))
_AUTHORITIES = ("ca.crt", "cacert")
_REVOKED = ("ca.crl", "crl")
_LEAST_RSA = 2048
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_KEPT = frozenset({*(name for pair in _PAIRS for name in pair), *_AUTHORITIES, *_REVOKED})


class Unusable(Exception):  # noqa: N818 - it is not an error of the program
    """Why a Secret is no credential; never quotes its contents."""


def trim_secret(secret: dict[str, Any]) -> dict[str, Any]:
    """What the mesh needs of a Secret: its certificates and their keys, and nothing else that may be in it."""
    metadata, data = secret["metadata"], secret.get("data") or {}
    kept = ("name", "namespace", "uid", "resourceVersion")
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "data": {key: data[key] for key in sorted(_KEPT & data.keys())},
    }


def credential(secret: Json) -> Credential:
    """The credential in a Secret; Unusable where there is none, or one that no TLS could be done with."""
    data = secret.get("data") or {}
    name = next((crt for crt, key in _PAIRS if crt in data and key in data), "")
    authorities = next((_bytes(data, key) for key in _AUTHORITIES if data.get(key)), b"")
    revoked = next((_bytes(data, key) for key in _REVOKED if data.get(key)), b"")
    if authorities:
        _certificates(authorities, "ca.crt")
    if revoked:
        _revocations(revoked)
    if name:
        certificate, key = _bytes(data, name), _bytes(data, dict(_PAIRS)[name])
        _check_pair(certificate, key, name)
        return Credential(
            certificate=certificate, key=key, authorities=authorities, revoked=revoked
        )
    if authorities:
        return Credential(authorities=authorities, revoked=revoked)
    raise Unusable("has neither tls.crt with tls.key nor ca.crt")


def _bytes(data: Json, name: str) -> bytes:
    try:
        return base64.b64decode(data[name] or "", validate=True)
    except (binascii.Error, ValueError):
        raise Unusable(f"{name} is not base64") from None


def _certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise Unusable(f"{name} is not a PEM certificate") from None


def _revocations(pem: bytes) -> None:
    try:
        x509.load_pem_x509_crl(pem)
    except ValueError:
        raise Unusable("ca.crl is not a PEM list of revoked certificates") from None


def _check_pair(certificate: bytes, key: bytes, name: str) -> None:
    first = _certificates(certificate, name)[0]
    key_name = dict(_PAIRS)[name]
    try:
        private = serialization.load_pem_private_key(key, password=None)
        ours, theirs = (_public(each) for each in (private.public_key(), first.public_key()))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unusable(f"{key_name} is not an unencrypted PEM key") from None
    if ours != theirs:
        raise Unusable(f"{key_name} is not the key of {name}")
    if not _taken(private):
        raise Unusable(
            f"{key_name} is neither RSA of 2048 bits or more nor of curve P-256 to P-521"
        )


def _taken(private: Any) -> bool:
    """Whether Envoy takes certificates of this kind; one that it refused would hold up all servers of its port."""
    if isinstance(private, rsa.RSAPrivateKey):
        return private.key_size >= _LEAST_RSA
    return isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
