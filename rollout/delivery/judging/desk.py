"""Who is being judged: one task per canary looks at both arms each second, and keeps what it saw until it is written down.

Knows when to look and what to keep; not where counts come from, nor what they say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from rollout.judge.evidence.live import NoEvidence
from rollout.judge.sequential import Evidence
from rollout.judge.trials import Observation, Observed, Source, Trial
from rollout.kube.objects import Key

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 1.0
_MOST_LOOKS = 120
"""Of a canary whose status cannot be written; older ones are lost, for both arms alike."""
_TICK = timedelta(microseconds=1)


class Looks(Protocol):
    """One trial's looks: `rollout.judge.evidence.live.Watch`."""

    source: Source

    async def look(self, now: datetime) -> Mapping[str, tuple[Evidence, ...]]:
        """What was added since the last look. Raises NoEvidence."""
        ...


@dataclass(slots=True)
class _Case:
    """One canary under watch."""

    trial: Trial
    last: datetime
    task: asyncio.Task[None] | None = None
    looks: list[Observation] = field(default_factory=list)
    trouble: str = ""


class JudgeDesk:
    """Watches trials. `watch` begins one, from the time until which it was counted; `again` is told of new evidence."""

    def __init__(
        self,
        watch: Callable[[Trial, datetime], Looks],
        again: Callable[[Key], None],
        group: asyncio.TaskGroup,
        clock: Callable[[], datetime],
        *,
        period: float = PERIOD_SECONDS,
    ) -> None:
        self._watch, self._again, self._group = watch, again, group
        self._clock, self._period = clock, period
        self._cases: dict[Key, _Case] = {}

    def observed(self, key: Key) -> Observed:
        """What was seen of a canary that its status does not have yet."""
        case = self._cases.get(key)
        return Observed(tuple(case.looks), case.trouble, case.trial) if case else Observed()

    def follow(self, key: Key, trial: Trial | None, written: datetime | None) -> None:
        """Watch this trial of the canary's from now on, or none; what is older than `written` is forgotten."""
        case = self._cases.get(key)
        if case is not None and case.trial != trial:
            self._end(key)
            case = None
        if trial is None:
            return
        if case is None:
            last = max(written, self._clock()) if written else self._clock()
            case = self._cases[key] = _Case(trial, last)
            case.task = self._group.create_task(self._look_on(key, case))
        if written is not None:
            case.looks = [look for look in case.looks if look.at > written]

    def close(self) -> None:
        """Watch nothing any more."""
        for key in tuple(self._cases):
            self._end(key)

    def _end(self, key: Key) -> None:
        case = self._cases.pop(key)
        if case.task is not None:
            case.task.cancel()

    async def _look_on(self, key: Key, case: _Case) -> None:
        watch = self._watch(case.trial, case.last)
        while True:
            began = self._clock()
            try:
                evidence = await watch.look(began)
                trouble = ""
            except NoEvidence as error:
                evidence, trouble = {}, str(error)
            except Exception as error:  # one canary's evidence must not end the process
                log.exception("no evidence", canary=str(key))
                evidence, trouble = {}, f"it could not be read: {type(error).__name__}"
            if trouble != case.trouble:
                log.info("evidence", canary=str(key), source=str(watch.source), trouble=trouble)
            told = bool(evidence) or trouble != case.trouble
            case.trouble = trouble
            if evidence:
                case.last = max(began, case.last + _TICK)
                case.looks = [*case.looks, Observation(case.last, watch.source, evidence)]
                case.looks = case.looks[-_MOST_LOOKS:]
            if told:
                self._again(key)
            took = (self._clock() - began).total_seconds()
            await asyncio.sleep(max(0.0, self._period - took))
