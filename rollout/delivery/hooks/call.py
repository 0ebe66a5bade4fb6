"""One call of a hook, and what came of it. Only nouns: knows neither when a hook is due nor how it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class HookType(StrEnum):
    """When a hook is called; the words of a Canary's `webhooks[].type`."""

    CONFIRM_ROLLOUT = "confirm-rollout"
    """Before the canary is scaled up."""
    PRE_ROLLOUT = "pre-rollout"
    """Before it gets its first traffic."""
    ROLLOUT = "rollout"
    """With every check."""
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    """Before each step."""
    CONFIRM_PROMOTION = "confirm-promotion"
    """Before the primary gets the revision."""
    POST_ROLLOUT = "post-rollout"
    """After the end, whichever it was."""
    ROLLBACK = "rollback"
    """With every check; agreement means to give up."""
    EVENT = "event"
    """With every event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCall:
    """One POST. `path` is that of the hook in its Canary, `secret` the Secret with its headers, if any.

    Two calls that are equal are the same question.
    """

    name: str
    type: HookType
    namespace: str
    path: str
    url: str = field(repr=False)
    body: str = field(repr=False)
    timeout: float
    retries: int = 0
    verify: bool = True
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The hook answered 200, 201 or 202."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The hook answered something else, or nothing; `reason` is what it said."""

    reason: str


Outcome: TypeAlias = Agreed | Refused
