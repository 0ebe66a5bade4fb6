"""What a hook's metadata asks to be run, and whether it may be: only programs that were allowed at the start, no shell.

Pure; knows neither processes nor HTTP.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

# The program that Flagger puts before the command of each type; none where the command names its own.
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "cmd": (),
    "bash": (),
    "helm": ("helm",),
    "helmv3": ("helmv3",),
    "kubectl": ("kubectl",),
}
_BACKGROUND = "cmd"
_SHELL_WORDS = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "2>", "2>&1"})
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})


class RefusedError(Exception):
    """The task is not run; `str()` says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One program to run. `waits` is whether the hook waits for its end; `shows` whether it is told the output."""

    canary: str
    arguments: tuple[str, ...]
    waits: bool
    shows: bool = False
    logs: bool = False

    @property
    def program(self) -> str:
        """The program's path."""
        return self.arguments[0]


def parse_allowed(words: tuple[str, ...]) -> dict[str, str]:
    """Programs by name from `name=/path` words. Raises ValueError for anything else."""
    allowed: dict[str, str] = {}
    for word in words:
        name, _, path = word.partition("=")
        if not name or "/" in name or not path.startswith("/"):
            raise ValueError(f"{word!r} is not of the form name=/path/of/the/program")
        allowed[name] = path
    return allowed


def task_of(canary: str, metadata: Mapping[str, str], allowed: Mapping[str, str]) -> Task:
    """The task that metadata describes. Raises RefusedError."""
    type_ = metadata.get("type") or _BACKGROUND
    if type_ not in _PREFIXES:
        known = ", ".join(_PREFIXES)
        raise RefusedError(f"unknown task type {type_}; use one of {known}")
    command = metadata.get("cmd", "")
    if not command.strip():
        raise RefusedError("cmd not found in metadata")
    try:
        words = (*_PREFIXES[type_], *shlex.split(command, comments=False))
    except ValueError as error:
        raise RefusedError(f"cmd cannot be split into words: {error}") from None
    shell = next((word for word in words if word in _SHELL_WORDS), "")
    if shell:
        raise RefusedError(f"cmd has {shell!r}, but no shell reads it; allow a script instead")
    return Task(
        canary=canary,
        arguments=(_program(words[0], allowed), *words[1:]),
        waits=type_ != _BACKGROUND,
        shows=metadata.get("returnCmdOutput") in _TRUE,
        logs=metadata.get("logCmdOutput") in _TRUE or type_ != _BACKGROUND,
    )


def _program(name: str, allowed: Mapping[str, str]) -> str:
    if name in allowed:
        return allowed[name]
    if name in allowed.values():
        return name
    known = ", ".join(sorted(allowed)) or "none"
    raise RefusedError(
        f"{name!r} is not allowed (allowed: {known});"
        f" start the load tester with --allow {name.rsplit('/', 1)[-1]}=/path to allow it"
    )
