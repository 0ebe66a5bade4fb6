"""When a scheduled experiment is due. APScheduler does the arithmetic of cron; weekdays and day-or-weekday are cron's.

Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from rollout.api.chaos import Schedule, Window
from rollout.api.errors import FieldError

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MOST_SKIPPED = 5000
"""Times outside the windows that are passed over before a schedule counts as one that never runs."""


@dataclass(frozen=True, slots=True)
class Due:
    """`now`: the scheduled time that a run may begin for at once; `next`: the next one to wait for. None: never."""

    now: datetime | None
    next: datetime | None


def problems(schedule: Schedule) -> Iterator[FieldError]:
    """What is wrong with a schedule that only arithmetic can tell."""
    try:
        ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield FieldError(
            "spec.schedule.timeZone",
            f"{schedule.time_zone!r} is not a time zone",
            "write it like Europe/Paris",
        )
        return
    try:
        _trigger(schedule.cron, schedule.time_zone)
    except (ValueError, TypeError) as error:
        yield FieldError(
            "spec.schedule.cron", f"{schedule.cron!r}: {error}", "write it as cron does"
        )


def due(schedule: Schedule, after: datetime, now: datetime) -> Due:
    """The latest time since `after` that a run may still begin for, and the next.

    A time is missed `startingDeadlineSeconds` after it; one outside of all windows does not count.
    """
    deadline = timedelta(seconds=schedule.starting_deadline_seconds)
    begin = max(after, now - deadline - timedelta(microseconds=1))
    found: datetime | None = None
    for time in _times(schedule, begin):
        if time > now:
            return Due(found, time)
        if now - time <= deadline:
            found = time
    return Due(found, None)


def _times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The scheduled times after `after` that are within a window."""
    trigger = _trigger(schedule.cron, schedule.time_zone)
    last, skipped = after, 0
    while skipped < _MOST_SKIPPED:
        time = trigger.get_next_fire_time(None, last + timedelta(microseconds=1))
        if time is None:
            return
        last = time
        if not schedule.windows or any(within(window, time) for window in schedule.windows):
            yield time
        else:
            skipped += 1


def within(window: Window, time: datetime) -> bool:
    """Whether a local time is in a window."""
    clock = time.strftime("%H:%M")
    return (not window.days or time.strftime("%a") in window.days) and (
        window.from_ <= clock < window.to
    )


@lru_cache(maxsize=256)
def _trigger(cron: str, time_zone: str) -> BaseTrigger:
    minute, hour, day, month, weekday = cron.lower().split()
    zone = ZoneInfo(time_zone)

    def trigger(day: str, weekday: str) -> CronTrigger:
        return CronTrigger(
            minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=zone
        )

    days = _weekdays(weekday)
    if day == "*" or weekday == "*":
        return trigger(day, days)
    # Where both are given, cron means either; APScheduler means both.
    return OrTrigger([trigger(day, "*"), trigger("*", days)])


def _weekdays(field: str) -> str:
    """Cron's weekdays, Sunday being 0 and 7, by name: APScheduler counts from Monday."""
    if field == "*":
        return "*"
    return ",".join(_DAYS[each] for each in sorted(set(_expanded(field))))


def _expanded(field: str) -> Iterator[int]:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        low = 0 if span == "*" else _weekday(first)
        high = 6 if span == "*" or (step and not dash) else _weekday(last) if dash else low
        if high < low or (step and not step.isdecimal()) or step == "0":
            raise ValueError(f"{part!r} is not a weekday, nor several")
        yield from (each % 7 for each in range(low, high + 1, int(step or 1)))


def _weekday(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if not text.isdecimal() or int(text) > 7:
        raise ValueError(f"{text!r} is not a weekday")
    return int(text)
