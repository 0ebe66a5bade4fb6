"""What is wrong with somebody's object, so that it can be said on its status. Knows nothing of how it is said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names one Kubernetes object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault in one field: the object goes on being used as far as it can be, others are unaffected."""

    ref: Ref
    field: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.ref}: {self.field}: {self.reason} ({self.remedy})"
