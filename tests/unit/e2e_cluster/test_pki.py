"""The cluster's certificates: who they are for, whom they name, and that the keys stay private."""

from __future__ import annotations

import base64
import json
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from e2e.cluster import controlplane, pki


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    authority = pki.Authority(tmp_path / "pki")
    controlplane.issue(authority, apiserver_names=("10.9.8.7",), node="box")
    return tmp_path / "pki"


def certificate(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


def test_every_certificate_is_signed_by_the_authority(directory: Path) -> None:
    authority = certificate(directory, "ca")
    others = [path.stem for path in directory.glob("*.crt")]
    assert len(others) > 5
    for name in others:
        certificate(directory, name).verify_directly_issued_by(authority)


def test_the_api_server_answers_to_its_names_and_addresses(directory: Path) -> None:
    names = (
        certificate(directory, "apiserver")
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ip_address("10.9.8.7"),
        ip_address("127.0.0.1"),
    }
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_the_kubelet_is_the_node_that_the_node_authorizer_knows(directory: Path) -> None:
    subject = certificate(directory, "kubelet").subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:box"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_keys_are_readable_by_their_owner_only(directory: Path) -> None:
    assert directory.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in directory.glob("*.key")} == {0}


def test_a_kubeconfig_carries_what_it_needs(directory: Path) -> None:
    config = json.loads(pki.kubeconfig(directory, pki.ADMIN, "https://10.9.8.7:6443"))
    assert config["clusters"][0]["cluster"]["server"] == "https://10.9.8.7:6443"
    user = config["users"][0]["user"]
    assert (
        base64.b64decode(user["client-certificate-data"]) == (directory / "admin.crt").read_bytes()
    )
