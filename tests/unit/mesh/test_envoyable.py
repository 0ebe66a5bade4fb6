"""What Envoy would refuse is refused before, and what it reads in its own way is escaped."""

from __future__ import annotations

import pytest

from rollout.mesh.ingest.envoyable import header_value, regex_fault


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("100%", "100%%"),
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        ("a%REQ(x-id):8%b%", "a%REQ(x-id):8%b%%"),
        ("%UNKNOWN%", "%%UNKNOWN%%"),
        ("a\tb", "a\tb"),
        ("a\nb", None),
        ("é", None),
    ],
)
def test_header_value(value: str, expected: str | None) -> None:
    assert header_value(value) == expected
