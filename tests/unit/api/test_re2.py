"""What RE2 takes and what it does not."""

from __future__ import annotations

import pytest

from rollout.api.re2 import regex_fault


@pytest.mark.parametrize(
    "pattern", ["/a.*", "a{1,1000}", r"\d+[^/]*", "(?i)x", "(?P<n>a)", "a*?", r"\+\+", ""]
)
def test_re2_takes(pattern: str) -> None:
    assert regex_fault(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?<!a)b", r"(a)\1", "(?P=n)", "a{1001}", "(", "[", "a++", "(?>a)", "x" * 2000],
)
def test_re2_refuses(pattern: str) -> None:
    assert regex_fault(pattern)
