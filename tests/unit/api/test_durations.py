"""Durations, against what Go and Prometheus read and print."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.api.durations import (
    Duration,
    format_go_duration,
    parse_go_duration,
    parse_prometheus_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("10s", 10), ("1m30s", 90), ("1.5h", 5400), (".5s", 0.5), ("1.s", 1), ("500ms", 0.5), ("2us", 2e-6), ("3µs", 3e-6), ("-1m", -60), ("+1s", 1), ("1h0m0.5s", 3600.5), ("0s", 0)],
)  # fmt: skip
def test_go_reads(text: str, seconds: float) -> None:
    assert parse_go_duration(text) == timedelta(seconds=seconds)
    assert Duration.parse(text).text == copy.deepcopy(Duration.parse(text)).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "s",
        "1 s",
        "1d",
        "abc",
        "1m-",
        "--1s",
        "1,5s",
        ".s",
        "\u0661s",
        "9999999h",
        "1s" * 40,
    ],
)
def test_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_go_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (90, "1m30s"), (60, "1m0s"), (3600, "1h0m0s"), (0.5, "500ms"), (0.0015, "1.5ms"), (1.25, "1.25s"), (2e-6, "2µs"), (-10, "-10s")],
)  # fmt: skip
def test_go_prints(seconds: float, text: str) -> None:
    assert format_go_duration(timedelta(seconds=seconds)) == text


@given(st.timedeltas(min_value=timedelta(days=-1000), max_value=timedelta(days=1000)))
def test_what_is_printed_is_read_back(length: timedelta) -> None:
    assert parse_go_duration(format_go_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m", 60),
        ("30s", 30),
        ("1h30m", 5400),
        ("1d", 86400),
        ("90s", 90),
        ("500ms", 0.5),
        ("1y2w", 32745600),
    ],
)
def test_prometheus_reads(text: str, seconds: float) -> None:
    assert parse_prometheus_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "0s", "1.5m", "30s1m", "1", "m", "-1m", "1m 30s", "99999999y"]
)
def test_prometheus_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_prometheus_duration(text)
