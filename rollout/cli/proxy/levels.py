"""How much a proxy logs: what it says of it (Envoy's `/logging`), and how that is changed, as istioctl's `--level`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rollout.cli.errors import CommandFailed

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


def loggers(page: str) -> dict[str, str]:
    """The level of each logger."""
    lines = (line.strip().partition(": ") for line in page.splitlines() if line.startswith("  "))
    return {name: level for name, colon, level in lines if colon}


def told(found: Mapping[str, str]) -> Iterable[str]:
    """The level that most have, and those that have another."""
    [(usual, _)] = Counter(found.values()).most_common(1) or [("", 0)]
    others = [f"  {name}: {level}" for name, level in sorted(found.items()) if level != usual]
    yield f"{'all loggers' if not others else 'loggers but these'}: {usual}"
    yield from others


def changes(text: str, known: Iterable[str]) -> tuple[dict[str, str], ...]:
    """Of `info` or `http:debug,router:trace`, the parameters of each request to `/logging`."""
    names = sorted(known)
    return tuple(_one(part.strip(), names) for part in text.split(",") if part.strip())


def _one(part: str, known: list[str]) -> dict[str, str]:
    logger, colon, level = part.rpartition(":")
    if level not in _LEVELS or (colon and not logger):
        raise CommandFailed(
            f"--level {part!r}: not LEVEL or LOGGER:LEVEL with a level of {', '.join(_LEVELS)}"
        )
    if logger and logger not in known:
        raise CommandFailed(f"--level {part!r}: it has no logger {logger}, but {', '.join(known)}")
    return {logger or "level": level}
