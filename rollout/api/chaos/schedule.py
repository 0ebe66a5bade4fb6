"""When an experiment runs by itself (`spec.schedule`); CronJob's names where it has them.

Whether a cron expression or a time zone exists is said by who computes with them; this knows the text only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from rollout.api.fields import Count, Name
from rollout.api.model import Model, Problem, Str, refusal

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def _cron(value: str) -> str:
    if len(value.split()) != 5:
        raise refusal(
            f"{value!r} does not have five fields",
            'write minute, hour, day, month and weekday: "0 10 * * 1-5"',
        )
    return value


def _clock(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise refusal(f"{value!r} is not a time of day", 'write it like "09:30"')
    return value


ClockTime = Annotated[Str, AfterValidator(_clock)]


class Window(Model):
    """Hours in which experiments may begin."""

    days: tuple[Day, ...] = ()
    """Days of the week; every day where empty."""
    from_: ClockTime = Field(alias="from")
    """From then, in the schedule's time zone."""
    to: ClockTime
    """Until then, the same day."""

    def problems(self) -> Iterator[Problem]:
        """Hours that end before they begin."""
        if self.from_ >= self.to:
            yield Problem("to", f"{self.to} is not after {self.from_}", "write two windows instead")


class Schedule(Model):
    """Runs that begin by themselves."""

    cron: Annotated[Str, AfterValidator(_cron)]
    """Minute, hour, day of month, month, day of week."""
    time_zone: Name = "UTC"
    """In which it is read, `Europe/Paris`."""
    starting_deadline_seconds: Count = 60
    """How late a run may begin; a later one is missed."""
    concurrency_policy: Literal["Forbid", "Allow"] = "Forbid"
    """What happens when the last run is not over: `Forbid` misses the run; `Allow` begins it when the last ends,
    within the deadline. An experiment never runs twice at once."""
    history_limit: Count = 5
    """How many reports are kept."""
    windows: tuple[Window, ...] = ()
    """Hours in which runs may begin; always where empty."""
