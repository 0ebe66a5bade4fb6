"""Which roots proxies are told to trust, and from when on a new one may sign: so no request is lost when roots change.

A new root is published first and signs only when all proxies must have it; one that is gone stays published until
nothing it signed can be valid any more. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

SPARE = timedelta(hours=1)
"""How much longer a root stays than what it signed."""
ALWAYS = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root certificate, PEM: published since a moment, and no longer wanted since another."""

    pem: bytes
    since: datetime
    gone: datetime | None = None

    @property
    def id(self) -> str:
        """What it is known by."""
        return sha256(self.pem).hexdigest()


def advance(
    known: Sequence[Root], wanted: Sequence[bytes], now: datetime, lifetime: timedelta
) -> tuple[Root, ...]:
    """The roots to publish now, where what they sign lives so long at most.

    The first ones ever have been trusted by everybody all along.
    """
    since = now if known else ALWAYS
    by_pem = {root.pem: root for root in known}
    current = [
        replace(by_pem[pem], gone=None) if pem in by_pem else Root(pem=pem, since=since)
        for pem in dict.fromkeys(wanted)
    ]
    leaving = [
        replace(root, gone=root.gone or now)
        for root in known
        if root.pem not in wanted and (root.gone is None or now - root.gone < lifetime + SPARE)
    ]
    return (*current, *leaving)


def left(
    known: Sequence[Root], roots: Sequence[bytes], now: datetime, settle: timedelta
) -> timedelta:
    """How long until one of these roots has been published for so long; zero where one has."""
    since = [root.since for root in known if root.pem in roots]
    if not since:
        return settle
    return max(min(since) + settle - now, timedelta())


def to_data(roots: Sequence[Root]) -> dict[str, bytes]:
    """As a Secret's keys."""
    times = {
        root.id: {
            "since": root.since.isoformat(),
            **({"gone": root.gone.isoformat()} if root.gone else {}),
        }
        for root in roots
    }
    return {
        "root-cert.pem": b"".join(root.pem for root in roots),
        "times.json": json.dumps(times, sort_keys=True).encode(),
    }


def from_data(pems: Sequence[bytes], times: bytes) -> tuple[Root, ...]:
    """Back from a Secret; ValueError where the times are not what was written."""
    found = json.loads(times)
    try:
        return tuple(_root(pem, found[sha256(pem).hexdigest()]) for pem in pems)
    except (KeyError, TypeError) as error:
        raise ValueError(f"times.json lacks {error}") from None


def _root(pem: bytes, times: dict[str, str]) -> Root:
    gone = times.get("gone")
    return Root(
        pem=pem,
        since=datetime.fromisoformat(times["since"]),
        gone=datetime.fromisoformat(gone) if gone else None,
    )
