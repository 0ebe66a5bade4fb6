"""What a command says when it cannot do what was asked."""

from __future__ import annotations


class CommandFailed(Exception):  # noqa: N818 - it says what happened
    """One sentence for the user; exit code 1."""
