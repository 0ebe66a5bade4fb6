"""Regular expressions as Envoy takes them: RE2's, which have fewer constructs than Python's. As far as can be told."""

from __future__ import annotations

import re

_MOST = 1024
_MOST_REPEATS = 1000
_NOT_RE2 = re.compile(r"\(\?(?:=|!|<=|<!|>|P=|P>|\(|#|R|&|\d)|\\[1-9]|(?<!\\)[*+?}]\+")
_REPEAT = re.compile(r"\{(\d+)?(?:,(\d+)?)?\}")


def regex_fault(pattern: str) -> str:
    """Why RE2 would not take the expression; empty where it does, as far as can be told without it."""
    if len(pattern) > _MOST:
        return f"is longer than {_MOST} characters"
    if _NOT_RE2.search(pattern):
        return "uses look-around, a back reference or another construct that RE2 does not have"
    if any(int(n) > _MOST_REPEATS for m in _REPEAT.finditer(pattern) for n in m.groups() if n):
        return f"repeats more than {_MOST_REPEATS} times"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    return ""
