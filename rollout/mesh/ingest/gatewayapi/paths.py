"""How a matched path becomes another: Gateway API's two modifiers as patterns, which hold for all their corner cases."""

from __future__ import annotations

import re

from rollout.api.gatewayapi.filters import HTTPPathModifier

_EVERYTHING = "^.*$"


def substitution(modifier: HTTPPathModifier, prefix: str) -> tuple[str, str]:
    """(RE2 pattern, replacement) for paths below a matched prefix; only elements of the path are replaced."""
    if modifier.type == "ReplaceFullPath":
        return _EVERYTHING, _plain(modifier.replace_full_path or "/")
    old = re.escape(prefix.rstrip("/"))
    new = (modifier.replace_prefix_match or "").rstrip("/")
    # Without a replacement the rest has to begin with the one slash that is left.
    return (f"^{old}(.*)$", f"{_plain(new)}\\1") if new else (f"^{old}/?(.*)$", r"/\1")


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\")
