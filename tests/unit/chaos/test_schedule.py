"""When scheduled experiments are due: cron as cron has it, time zones, windows, late starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rollout.api.chaos import Schedule
from rollout.chaos.plan.schedule import due, problems

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


def schedule(**fields: Any) -> Schedule:
    return Schedule.model_validate(fields)


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("*/5 * * * *", "UTC", datetime(2026, 3, 2, 12, 5, tzinfo=UTC)),
        ("0 10 * * 1-5", "Europe/Paris", datetime(2026, 3, 3, 9, 0, tzinfo=UTC)),
        ("30 8 * * 0", "UTC", datetime(2026, 3, 8, 8, 30, tzinfo=UTC)),
        ("30 8 * * 7", "UTC", datetime(2026, 3, 8, 8, 30, tzinfo=UTC)),
        ("30 8 * * sat,sun", "UTC", datetime(2026, 3, 7, 8, 30, tzinfo=UTC)),
        ("0 0 * * 5-7/2", "UTC", datetime(2026, 3, 6, 0, 0, tzinfo=UTC)),
        ("0 0 15 * 5", "UTC", datetime(2026, 3, 6, 0, 0, tzinfo=UTC)),
        ("0 0 4 * 5", "UTC", datetime(2026, 3, 4, 0, 0, tzinfo=UTC)),
        ("30 2 29 3 *", "Europe/Berlin", datetime(2027, 3, 29, 0, 30, tzinfo=UTC)),
    ],
)
def test_the_next_time(cron: str, zone: str, expected: datetime) -> None:
    found = due(schedule(cron=cron, timeZone=zone), NOON, NOON)
    assert found.now is None
    assert found.next is not None
    if (
        zone == "Europe/Berlin"
    ):  # that hour does not exist in 2026: either side of the change will do
        assert found.next.astimezone(ZoneInfo(zone)).date().isoformat() in {
            "2026-03-29",
            "2027-03-29",
        }
    else:
        assert found.next.astimezone(UTC) == expected


@pytest.mark.parametrize(
    ("late", "runs"), [(0, True), (59, True), (60, True), (61, False)], ids=str
)
def test_a_late_start(late: int, runs: bool) -> None:
    hourly = schedule(cron="0 * * * *", startingDeadlineSeconds=60)
    found = due(hourly, NOON - timedelta(minutes=30), NOON + timedelta(seconds=late))
    assert (found.now == NOON) is runs
    assert found.next == NOON + timedelta(hours=1)


def test_of_many_that_were_missed_the_last_counts() -> None:
    found = due(
        schedule(cron="* * * * *", startingDeadlineSeconds=300), NOON - timedelta(days=9), NOON
    )
    assert found.now == NOON


def test_times_outside_the_windows_do_not_count() -> None:
    window = {"days": ["Mon", "Tue"], "from": "09:00", "to": "11:00"}
    hourly = schedule(cron="0 * * * *", windows=[window])
    found = due(hourly, NOON, NOON)
    assert found.next == datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def test_windows_that_never_open_end_the_search() -> None:
    never = schedule(cron="0 12 * * *", windows=[{"from": "01:00", "to": "02:00"}])
    assert due(never, NOON, NOON).next is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"cron": "61 * * * *"}, "spec.schedule.cron"),
        ({"cron": "* * * * 8"}, "spec.schedule.cron"),
        ({"cron": "* * * * 5-2"}, "spec.schedule.cron"),
        ({"cron": "a b c d e"}, "spec.schedule.cron"),
        ({"cron": "* * * * *", "timeZone": "../etc/passwd"}, "spec.schedule.timeZone"),
        ({"cron": "* * * * *", "timeZone": "Nowhere"}, "spec.schedule.timeZone"),
    ],
)
def test_problems(fields: dict[str, str], path: str) -> None:
    assert [error.path for error in problems(schedule(**fields))] == [path]
