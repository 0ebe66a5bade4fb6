"""What a strategy is asked and what it answers: the next step from where a canary is. Only nouns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rollout.api.canary import Canary
from rollout.delivery.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The next step: `after` it the canary is so far; None where the primary gets the revision.

    `told` is what people are told of it. `increases` and `promotes` say which approvals it needs.
    """

    after: Progress | None
    told: str = ""
    increases: bool = False
    promotes: bool = False


class Strategy(Protocol):
    """One way for a canary to get its traffic."""

    @property
    def label(self) -> str:
        """Flagger's word for it in metrics."""
        ...

    def next_step(self, canary: Canary, at: Progress) -> Step:
        """What comes once everything is well."""
        ...

    def last_share(self, canary: Canary) -> int:
        """The canary's share when it is promoted."""
        ...
