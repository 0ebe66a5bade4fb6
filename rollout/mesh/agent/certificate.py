"""A key made here, and the certificate for it: the short-lived process that the agent starts for each.

Apart from the agent because TLS, gRPC and X.509 would triple its memory for the sake of a second a day. The key goes
from here into the proxy's own memory-backed volume and nowhere else.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rollout.mesh.agent.identity import TIMES_FILE, secret
from rollout.mesh.agent.settings import IDENTITY, IDENTITY_FILE, Settings, from_environment
from rollout.mesh.identity.wire import METHOD, SERVICE, read_response, write_request

CALL_SECONDS = 15.0


def main(arguments: list[str]) -> int:
    """Gets one certificate and puts it where Envoy finds it; says on stderr why it could not."""
    settings = from_environment(arguments[0], os.environ)
    try:
        obtain(settings)
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}", file=sys.stderr)  # noqa: T201
        return 1
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the agent reads it
        return 1
    return 0


def obtain(settings: Settings) -> None:
    """Asks the control plane; OSError, ValueError or grpc.RpcError where there is no certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    chain = _ask(settings, request.decode())
    leaf = x509.load_pem_x509_certificate(chain[0].encode())
    if leaf.public_key() != key.public_key():
        raise ValueError("the certificate that came is for another key")
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pair = {
        "certificate_chain": {"inline_string": "".join(chain[:-1])},
        "private_key": {"inline_string": private.decode()},
    }
    directory = Path(settings.config_dir)
    _replace(directory / IDENTITY_FILE, secret(IDENTITY, tls_certificate=pair))
    now, until = datetime.now(UTC).timestamp(), leaf.not_valid_after_utc.timestamp()
    _replace(directory / TIMES_FILE, {"since": now, "until": until})


def _ask(settings: Settings, request: str) -> list[str]:
    token = Path(settings.token_file).read_text().strip()
    roots = Path(settings.roots_file).read_bytes()
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    with grpc.secure_channel(settings.discovery_address, credentials) as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/{METHOD}")
        answer: bytes = call(
            write_request(request, settings.certificate_seconds),
            metadata=(("authorization", f"Bearer {token}"),),
            timeout=CALL_SECONDS,
        )
    chain = read_response(answer)
    if len(chain) < 2:
        raise ValueError("the control plane's answer has no certificate")
    return chain


def _replace(path: Path, document: object) -> None:
    """Whole or not at all: Envoy reads it when it is renamed."""
    made = path.with_name(f"{path.name}.new")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)
    made.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
