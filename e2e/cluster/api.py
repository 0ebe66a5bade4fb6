"""Reads from the API server what the launcher must know to say that it is up; everything else is kubectl's."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.pki import ADMIN

TIMEOUT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The admin's view of one API server; a fresh connection each time, limited to 5 s."""

    host: str
    port: int
    pki: Path

    def text(self, path: str) -> str | None:
        """The body of a 200, else None: not there, refused, or not (yet) listening."""
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / f"{ADMIN.file}.crt", self.pki / f"{ADMIN.file}.key")
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=TIMEOUT, context=context
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            return body if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def object(self, path: str) -> dict[str, Any]:
        """The object at `path`; empty when it is not there."""
        found: dict[str, Any] = json.loads(self.text(path) or "{}")
        return found

    def ready(self) -> bool:
        return self.text("/readyz") is not None
