"""What Envoy reads in its own way is escaped, and what has no place in a header refused."""

from __future__ import annotations

import pytest

from rollout.mesh.ingest.envoyable import header_value


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
