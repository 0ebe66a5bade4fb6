"""Hosts that may be wildcards (`*`, `*.example.com`): which of two takes in the other."""

from __future__ import annotations

from collections.abc import Iterator


def narrower(first: str, second: str) -> str:
    """What two hosts, each perhaps a wildcard, have in common; empty where nothing."""
    if covers(first, second):
        return second
    return first if covers(second, first) else ""


def covers(pattern: str, host: str) -> bool:
    """Whether a pattern takes in another host, itself included."""
    if pattern in {"*", host}:
        return True
    return (
        pattern.startswith("*.")
        and host.removeprefix("*").endswith(pattern[1:])
        and (host.removeprefix("*") != pattern[1:])
    )


def wildcards(host: str) -> Iterator[str]:
    """The patterns that a host falls under, the most specific first."""
    parts = host.split(".")
    for index in range(1, len(parts)):
        yield "*." + ".".join(parts[index:])
    yield "*"
