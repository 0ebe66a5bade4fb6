"""How far an analysis is, as the status keeps it. Only a noun: knows no strategy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an analysis is: the canary's share in percent, checks done where they count, copies of requests."""

    weight: int = 0
    iterations: int = 0
    mirroring: bool = False

    @property
    def begun(self) -> bool:
        """Whether the canary had anything that could be measured."""
        return bool(self.weight or self.iterations or self.mirroring)
