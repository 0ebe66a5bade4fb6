"""How much a proxy logs, as it says so, and as a change is typed."""

from __future__ import annotations

import pytest

from rollout.cli.errors import CommandFailed
from rollout.cli.proxy.levels import changes, loggers, told

KNOWN = {"http": "warning", "router": "warning"}


def test_the_loggers_of_a_page() -> None:
    assert loggers("active loggers:\n  http: warning\n  router: debug\n") == {
        "http": "warning",
        "router": "debug",
    }


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (KNOWN, ["all loggers: warning"]),
        ({**KNOWN, "conn": "debug"}, ["loggers but these: warning", "  conn: debug"]),
    ],
)
def test_only_what_differs_is_told_apart(levels: dict[str, str], expected: list[str]) -> None:
    assert list(told(levels)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("debug", ({"level": "debug"},)),
        ("http:debug, router:trace", ({"http": "debug"}, {"router": "trace"})),
    ],
)
def test_changes(text: str, expected: tuple[dict[str, str], ...]) -> None:
    assert changes(text, KNOWN) == expected


@pytest.mark.parametrize("text", ["loud", "http:loud", ":debug", "http:"])
def test_what_is_no_level_is_refused_by_name(text: str) -> None:
    with pytest.raises(CommandFailed, match=r"not LEVEL or LOGGER:LEVEL .*trace"):
        changes(text, KNOWN)


def test_a_logger_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(CommandFailed, match=r"it has no logger htpp, but http, router"):
        changes("htpp:debug", KNOWN)
