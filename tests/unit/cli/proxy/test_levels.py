"""How much a proxy is to log, as it is typed."""

from __future__ import annotations

import pytest

from rollout.cli.errors import CommandFailed
from rollout.cli.proxy.levels import levels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("debug", ({"level": "debug"},)),
        ("http:debug, router:trace", ({"http": "debug"}, {"router": "trace"})),
    ],
)
def test_levels(text: str, expected: tuple[dict[str, str], ...]) -> None:
    assert levels(text) == expected


@pytest.mark.parametrize("text", ["loud", "http:loud", ":debug", "http:"])
def test_what_is_no_level_is_refused_by_name(text: str) -> None:
    with pytest.raises(CommandFailed, match=r"not LEVEL or LOGGER:LEVEL .*trace"):
        levels(text)
