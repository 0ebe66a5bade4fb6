"""How a refusal is said: which object, which field, why, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; `path` is dotted, with indices in brackets (`spec.analysis.metrics[0].name`)."""

    path: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" + (f" ({self.remedy})" if self.remedy else "")


class InvalidObject(ValueError):  # noqa: N818 - it names the thing refused, as the API server's own reason does
    """An object that cannot be acted upon; carries every field error at once."""

    def __init__(
        self, kind: str, namespace: str, name: str, errors: tuple[FieldError, ...]
    ) -> None:
        self.kind, self.namespace, self.name, self.errors = kind, namespace, name, errors
        super().__init__(f"{kind} {namespace}/{name}: " + "; ".join(map(str, errors)))
