"""Reads the Secrets that providers, hooks and alerts name: from the store where Secrets are watched, else from the API.

Knows Kubernetes' encoding of them; keeps none.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from rollout.api.kinds import SECRET
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object
from rollout.kube.store import Store


class SecretReader:
    """`store` is None where Secrets are not watched."""

    def __init__(self, client: Client, store: Store | None) -> None:
        self._client, self._store = client, store

    async def __call__(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The Secret's values as text, or None where it is not there. Raises KubeError where it cannot be read."""
        if self._store is not None:
            found = self._store.get(namespace, name)
            return None if found is None else decoded(found)
        try:
            return decoded(await self._client.get(SECRET, namespace, name))
        except NotFound:
            return None


def decoded(secret: Object) -> dict[str, str]:
    """The values of a Secret that are text."""
    values: dict[str, str] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            values[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, TypeError):
            continue
    return values
