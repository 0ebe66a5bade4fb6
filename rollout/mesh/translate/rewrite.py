"""What is changed in a request's path and authority before it is forwarded."""

from __future__ import annotations

import re
from typing import Any

from envoy.type.matcher.v3 import regex_pb2

from rollout.mesh.model.routing import Match, MatchKind, Rewrite


def apply_rewrite(action: Any, rewrite: Rewrite, match: Match | None) -> None:
    """Writes the rewrite onto a route's action."""
    if rewrite.authority:
        action.host_rewrite_literal = rewrite.authority
    if rewrite.pattern:
        action.regex_rewrite.CopyFrom(substitution(*rewrite.pattern))
    elif rewrite.uri == "/" and (prefix := _open_prefix(match)):
        # Plain replacement of /a in /a/b by / would leave //b.
        action.regex_rewrite.CopyFrom(substitution(f"^{re.escape(prefix)}(/?)(.*)", r"/\2"))
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri


def _open_prefix(match: Match | None) -> str:
    if match is None or match.uri is None or match.uri.kind is not MatchKind.PREFIX:
        return ""
    return "" if match.uri.value.endswith("/") else match.uri.value


def substitution(pattern: str, replacement: str) -> Any:
    """Envoy's replacement of what an expression takes of a path."""
    return regex_pb2.RegexMatchAndSubstitute(
        pattern=regex_pb2.RegexMatcher(regex=pattern), substitution=replacement
    )
