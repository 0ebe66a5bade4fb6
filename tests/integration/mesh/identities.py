"""Service accounts with their tokens, and the directories in which kubelet and agent would put what proves them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rollout.api.kinds import CONFIG_MAP, SERVICE_ACCOUNT
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, NotFound
from rollout.kube.objects import Object
from rollout.mesh.agent import identity
from rollout.mesh.agent.settings import CERTIFICATE_TTL, IDENTITY_FILE
from rollout.mesh.controlplane import ControlPlane, Options
from rollout.mesh.identity.roots import KEY, NAME
from rollout.mesh.identity.wire import METHOD, SERVICE, read_response, write_request
from rollout.mesh.model.peers import MutualTLS
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import running, settings
from tests.waiting import until


@dataclass(slots=True)
class Scene:
    """A control plane that gives identities, and the roots that callers of it trust (PEM)."""

    client: Client
    namespace: str
    plane: ControlPlane
    trusted: bytes


@asynccontextmanager
async def trusted_plane(
    apiserver: ApiServer, client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    """A control plane of the namespace's own, once its roots are published."""
    await install_crds(client)
    async with control_plane(apiserver.kubeconfig, namespace, monkeypatch) as plane:
        yield Scene(client, namespace, plane, await roots(client, namespace))


@asynccontextmanager
async def control_plane(
    kubeconfig: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ControlPlane]:
    """One that gives identities; it is reached as `localhost`."""
    monkeypatch.setattr(ControlPlane, "_dns_names", ("localhost",))
    options = Options(
        system_namespace=namespace,
        mutual_tls=MutualTLS.AUTO,
        secure_address="0.0.0.0:0",
        certificate_address="0.0.0.0:0",
        health_port=0,
        debug_port=0,
        root_settle=timedelta(seconds=2),
    )
    async with (
        await Client.connect(str(kubeconfig)) as client,
        running(ControlPlane(client, options), secure=True) as plane,
    ):
        yield plane


async def roots(client: Client, namespace: str) -> bytes:
    """What proxies of a namespace are told to trust."""

    async def found() -> bytes:
        with suppress(NotFound):
            config_map = await client.get(CONFIG_MAP, namespace, NAME)
            return str(config_map["data"][KEY]).encode()
        return b""

    bundle: bytes = await until(found, "the roots are published")
    return bundle


async def token(
    client: Client,
    namespace: str,
    account: str,
    audience: str = "istio-ca",
    *,
    pod: Object | None = None,
) -> str:
    """A token as kubelet would get it, of an account that is made where it is missing; perhaps a pod's own."""
    with suppress(AlreadyExists):
        await client.create(
            SERVICE_ACCOUNT, {"metadata": {"namespace": namespace, "name": account}}
        )
    path = SERVICE_ACCOUNT.path(namespace, account, "token")
    spec: Object = {"audiences": [audience], "expirationSeconds": 3600}
    if pod is not None:
        whose = {name: pod["metadata"][name] for name in ("name", "uid")}
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", **whose}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = await client.request("POST", path, body)
    return str(answer["status"]["token"])


def request(uri: str = "") -> str:
    """A CSR, perhaps for a name."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def channel(plane: ControlPlane, trusted: bytes) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(root_certificates=trusted)
    return grpc.aio.secure_channel(f"localhost:{plane.secure_port}", credentials)


def bearer(text: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {text}"),)


async def sign(
    plane: ControlPlane, trusted: bytes, text: str, csr: str, seconds: int = 3 * 24 * 3600
) -> list[str]:
    """Asks for a certificate as any client of Istio's service would."""
    async with channel(plane, trusted) as connected:
        call: Any = connected.unary_unary(f"/{SERVICE}/{METHOD}")
        answer = await call(write_request(csr, seconds), metadata=bearer(text), timeout=20)
    return read_response(answer)


class Place:
    """The directory of a proxy's identity, filled as kubelet and the agent fill a pod's."""

    def __init__(self, directory: Path, plane: ControlPlane, namespace: str, account: str) -> None:
        self.directory = directory / f"identity-{account}"
        self.directory.mkdir()
        for name in ("tokens", "roots"):
            (self.directory / name).mkdir()
        self.settings = settings("sidecar", namespace, account, 0)._replace(
            discovery_address=f"localhost:{plane.secure_port}",
            config_dir=str(self.directory),
            token_file=str(self.directory / "tokens" / "istio-token"),
            roots_file=str(self.directory / "roots" / "root-cert.pem"),
            secured=True,
        )
        identity.write_sources(self.settings)

    async def fill(self, client: Client) -> None:
        """Token, roots and, by the agent's own process, a certificate."""
        namespace, account = self.settings.namespace, self.settings.service_account
        put(Path(self.settings.token_file), (await token(client, namespace, account)).encode())
        put(Path(self.settings.roots_file), await roots(client, namespace))
        await self.renew()

    def leaf(self) -> x509.Certificate:
        """The certificate that is there now."""
        found = json.loads((self.directory / IDENTITY_FILE).read_text())
        chain = found["resources"][0]["tls_certificate"]["certificate_chain"]["inline_string"]
        return x509.load_pem_x509_certificates(chain.encode())[0]

    async def renew(self) -> None:
        """A new certificate in the place of the one that is there."""
        assert await self.ask() == 0

    async def ask(self, lifetime: str = "") -> int:
        """The exit code of the agent's own process; what it asks for holds so long."""
        environment = {
            "POD_NAME": self.settings.pod_name,
            "POD_NAMESPACE": self.settings.namespace,
            "INSTANCE_IP": "127.0.0.1",
            "SERVICE_ACCOUNT": self.settings.service_account,
            "DISCOVERY_ADDRESS": self.settings.discovery_address,
            "PROXY_CONFIG_DIR": self.settings.config_dir,
            "TOKEN_FILE": self.settings.token_file,
            "ROOTS_FILE": self.settings.roots_file,
            CERTIFICATE_TTL: lifetime,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rollout.mesh.agent.certificate", "sidecar",
            env=os.environ | environment,
        )  # fmt: skip
        return await process.wait()


def put(path: Path, content: bytes) -> None:
    """As kubelet's atomic writer does it: a new directory, to which one link is turned as a whole."""
    made = Path(tempfile.mkdtemp(prefix="..", dir=path.parent))
    made.chmod(0o755)
    (made / path.name).write_bytes(content)
    link = path.parent / "..data_tmp"
    link.symlink_to(made.name)
    link.rename(path.parent / "..data")
    if not path.is_symlink():
        path.symlink_to(Path("..data") / path.name)


def encoded(value: bytes) -> str:
    """As a Secret's data."""
    return base64.b64encode(value).decode()


def decoded(secret: Object) -> dict[str, bytes]:
    """A Secret's data."""
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}
