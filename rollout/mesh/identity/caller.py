"""Who calls the control plane, however that was proved, and why a caller is nobody.

Must not know tokens, certificates or gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.mesh.model.identity import Identity


class UnauthenticatedError(Exception):
    """Nobody that the mesh knows; the text says why."""


class UnansweredError(Exception):
    """The API server did not say who it is: the caller may come again."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose identity it is, and the one pod that it is of, where that is known too."""

    identity: Identity
    pod: str = ""

    @property
    def namespace(self) -> str:
        """Where its service account is."""
        return self.identity.namespace

    def check(self, node: Mapping[str, Any]) -> None:
        """PermissionError where a proxy claims to be somebody else's."""
        metadata: Mapping[str, Any] = node.get("metadata") or {}
        parts = str(node.get("id", "")).split("~")
        name, _, namespace = (parts[2] if len(parts) == 4 else "").rpartition(".")
        claims = (
            ("namespace of its id", namespace, self.identity.namespace),
            ("NAMESPACE", metadata.get("NAMESPACE", namespace), self.identity.namespace),
            ("SERVICE_ACCOUNT", metadata.get("SERVICE_ACCOUNT"), self.identity.account),
            ("pod of its id", name, self.pod or name),
            ("NAME", metadata.get("NAME", name), self.pod or name),
        )
        for field, claimed, proved in claims:
            if claimed != proved:
                raise PermissionError(f"{field} is {claimed!r}, but what it shows is {proved!r}'s")
