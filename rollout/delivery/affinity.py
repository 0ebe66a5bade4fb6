"""Cookies that keep callers with the version that answered them first, and what is said to browsers about them. Pure.

The canary's cookie holds for a run, the primary's for one step, so that each step can draw anew among its callers. Both
are derived from the run, not drawn: a step that is repeated hands out the same ones. Knows nothing of routes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from rollout.api.canary import SessionAffinity

_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Cookie:
    """`text` is `name=value`; `header` is the Set-Cookie that hands it out or takes it back."""

    text: str
    header: str

    @property
    def pattern(self) -> str:
        """An RE2 expression for whole Cookie headers that carry it."""
        return f"^(.*;\\s*)?{re.escape(self.text)}(;.*)?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """Who stays where: callers with the canary's or the primary's cookie do; the previous run's is taken back."""

    canary: Cookie | None = None
    primary: Cookie | None = None
    previous: Cookie | None = None


def affinity(
    spec: SessionAffinity | None,
    *,
    share: int,
    current: str,
    previous: str,
    run: str,
    step: timedelta,
) -> Affinity:
    """The cookies while the canary has this share.

    `current` and `previous` are those in the status, `run` names the run, and `step` is the time between two steps.
    """
    if spec is None:
        return Affinity()
    if not share:
        last = current or previous
        return Affinity(previous=_taken_back(spec, last) if last else None)
    text = current or f"{spec.cookie_name}={_digest(run)}"
    primary = None
    if spec.primary_cookie_name:
        name = f"{spec.primary_cookie_name}={_digest(f'{text} {share}')}"
        primary = Cookie(name, _header(spec, name, int(step.total_seconds())))
    return Affinity(
        canary=Cookie(text, _header(spec, text, spec.max_age)),
        primary=primary,
        previous=_taken_back(spec, previous) if previous else None,
    )


def _taken_back(spec: SessionAffinity, text: str) -> Cookie:
    # Browsers drop a cookie only by the domain and path that it was given with.
    return Cookie(text, _header(spec, text, -1))


def _header(spec: SessionAffinity, text: str, max_age: int) -> str:
    parts = [text, f"Max-Age={max_age}"]
    for name, value in (("Domain", spec.domain), ("Path", spec.path), ("SameSite", spec.same_site)):
        if value:
            parts.append(f"{name}={value}")
    flags = (
        ("HttpOnly", spec.http_only),
        ("Partitioned", spec.partitioned),
        ("Secure", spec.secure),
    )
    return "; ".join([*parts, *(name for name, given in flags if given)])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
