"""Glyphs, colours, bars and ages that all renderers share. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from rollout.cli.canary.view import CanaryView

CANARY, REVISION, WORKLOAD, POD, CHECK = "⟳", "#", "⧉", "□", "α"  # noqa: RUF001
GOOD, BAD, BUSY, PAUSED, WARNING, WAITING = "✔", "✖", "◌", "॥", "⚠", "◷"

STYLES = {
    GOOD: "green",
    BAD: "red",
    BUSY: "cyan",
    PAUSED: "yellow",
    WARNING: "yellow",
    WAITING: "yellow",
}

_BY_PHASE = {
    "Initialized": GOOD,
    "Succeeded": GOOD,
    "Failed": BAD,
    "Waiting": WAITING,
    "WaitingPromotion": WAITING,
}


def glyph(view: CanaryView) -> str:
    """The state of a canary in one sign."""
    if view.invalid:
        return WARNING
    if view.suspended:
        return PAUSED
    return _BY_PHASE.get(view.phase, BUSY) if view.noticed else BUSY


def bar(view: CanaryView, width: int = 10) -> str:
    """How far the canary's share has come, or the count of its checks, as ▰▰▱▱▱."""
    if view.iterations_wanted:
        done, most = view.iterations, view.iterations_wanted
    else:
        done, most = view.weight, max(view.steps, default=100)
    filled = min(width, round(width * done / most)) if most else 0
    return "▰" * filled + "▱" * (width - filled)


def age(since: datetime | None, now: datetime) -> str:
    """As kubectl writes it: 7s, 12m, 3h, 5d."""
    return "-" if since is None else span(now - since)


def span(time: timedelta) -> str:
    """A time in its largest unit that says enough."""
    seconds = max(0, int(time.total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 2 * 3600:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 48 * 3600 else f"{seconds // 86400}d"
