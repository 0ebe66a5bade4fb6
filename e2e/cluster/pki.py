"""The cluster's certificate authority, the certificates it signs, and kubeconfigs made of them.

Knows names and groups of Kubernetes' components; it must not know how they are run.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=3650)
CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A client of the API server: `user` in `group`, as RBAC sees it."""

    file: str
    user: str
    group: str


ADMIN = Identity(file="admin", user="rollout:admin", group="system:masters")
API_SERVER_AS_CLIENT = Identity(
    file="apiserver-kubelet", user="kube-apiserver", group="system:masters"
)
CONTROLLER_MANAGER = Identity(
    file="kube-controller-manager",
    user="system:kube-controller-manager",
    group="system:kube-controller-manager",
)
SCHEDULER = Identity(
    file="kube-scheduler", user="system:kube-scheduler", group="system:kube-scheduler"
)
PROXY = Identity(file="kube-proxy", user="system:kube-proxy", group="system:node-proxier")


def kubelet(node: str) -> Identity:
    """The Node authorizer's name for a node."""
    return Identity(file="kubelet", user=f"system:node:{node}", group="system:nodes")


class Authority:
    """A fresh authority; writes NAME.crt and NAME.key into its directory, keys readable by root only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("rollout-cluster", None)
        ca = self._builder(self._name, self._key.public_key())
        self._save(
            "ca",
            self._key,
            ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        )

    def client(self, identity: Identity) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(identity.user, identity.group), key.public_key())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        self._save(identity.file, key, builder.add_extension(usage, critical=False))

    def server(self, file: str, names: Sequence[str]) -> None:
        """A serving certificate; `names` are addresses and host names."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(file, None), key.public_key())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        self._save(
            file,
            key,
            builder.add_extension(usage, critical=False).add_extension(
                alternatives, critical=False
            ),
        )

    def signing_key(self, file: str) -> None:
        """A key pair for service account tokens."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(f"{file}.key", _pem(key))
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._write(f"{file}.pub", public)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + LIFETIME)
        )

    def _save(
        self, file: str, key: ec.EllipticCurvePrivateKey, builder: x509.CertificateBuilder
    ) -> None:
        certificate = builder.sign(self._key, hashes.SHA256())
        self._write(f"{file}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        self._write(f"{file}.key", _pem(key))

    def _write(self, name: str, content: bytes) -> None:
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_bytes(content)


def kubeconfig(pki: Path, identity: Identity, server: str) -> str:
    """A kubeconfig (JSON is YAML) with everything embedded."""

    def data(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "rollout",
                    "cluster": {"server": server, "certificate-authority-data": data("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": identity.file,
                    "user": {
                        "client-certificate-data": data(f"{identity.file}.crt"),
                        "client-key-data": data(f"{identity.file}.key"),
                    },
                }
            ],
            "contexts": [
                {"name": "rollout", "context": {"cluster": "rollout", "user": identity.file}}
            ],
            "current-context": "rollout",
        },
        indent=2,
    )


def _name(common_name: str, organization: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
