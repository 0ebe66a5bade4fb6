"""Gates that people open and close by canary, kept in memory: a restart closes them all."""

from __future__ import annotations

_MOST_KEPT = 10_000


class Gates:
    """Closed until opened."""

    def __init__(self) -> None:
        self._open: dict[str, None] = {}

    def is_open(self, name: str) -> bool:
        """Whether this gate is open."""
        return name in self._open

    def open(self, name: str) -> None:
        """Let pass. Of very many open gates the one opened first is closed."""
        self._open[name] = None
        if len(self._open) > _MOST_KEPT:
            del self._open[next(iter(self._open))]

    def close(self, name: str) -> None:
        """Let pass no more."""
        self._open.pop(name, None)
