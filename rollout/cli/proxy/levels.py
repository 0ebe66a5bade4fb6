"""Reads how much a proxy is to log, as istioctl's `--level`. Pure."""

from __future__ import annotations

from rollout.cli.errors import CommandFailed

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


def levels(text: str) -> tuple[dict[str, str], ...]:
    """Of `info` or `http:debug,router:trace`, the parameters of each request to Envoy's `/logging`."""
    return tuple(_one(part.strip()) for part in text.split(",") if part.strip())


def _one(part: str) -> dict[str, str]:
    logger, colon, level = part.rpartition(":")
    if level not in _LEVELS or (colon and not logger):
        raise CommandFailed(
            f"--level {part!r}: not LEVEL or LOGGER:LEVEL with a level of {', '.join(_LEVELS)}"
        )
    return {logger or "level": level}
