"""Which faults are in force: those of running experiments that a controller vouches for, from one renewal to the next.

Nothing here arms a fault by itself: proxies are sent one when its lease was seen to be renewed, and end it without
that. The only timer takes away what is no longer vouched for, or has reached its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from time import monotonic

import structlog

from rollout.api.chaos import ChaosExperiment
from rollout.api.errors import InvalidObject
from rollout.kube.store import Change
from rollout.mesh.hub import Hub
from rollout.mesh.ingest.experiments import leased_fault
from rollout.mesh.ingest.leases import SILENCE, Vouchers, reading
from rollout.mesh.model.fault import LeasedFault
from rollout.mesh.model.problem import Problem

log = structlog.get_logger(__name__)

_FRESH = 0.5
"""Seconds for which a lease that came before what it vouches for is as good as one that comes after."""


class FaultKeeper:
    """Told of every ChaosExperiment and of every lease that vouches for some."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._vouchers = Vouchers()
        self._faults: dict[tuple[str, str], LeasedFault] = {}
        self._active: tuple[LeasedFault, ...] = ()
        self._timer: asyncio.TimerHandle | None = None

    def on_experiment(self, change: Change) -> None:
        """An experiment came, changed or went."""
        fault = _read(change)
        if fault == self._faults.get(change.key):
            return
        if fault is None:
            del self._faults[change.key]
        else:
            self._faults[change.key] = fault
        at = monotonic()
        recently = self._vouchers.vouched(at)
        runs = [fault.run] if fault is not None else []
        self._settle({run: recently[run] for run in runs if at < recently.get(run, 0.0) + _FRESH})

    def on_lease(self, change: Change) -> None:
        """A lease came, changed or went."""
        found = reading(change.new) if change.new is not None else None
        at = monotonic()
        renewed = self._vouchers.take(change.key, found, at)
        self._settle(dict.fromkeys(renewed, at))

    def withheld(self, hosts: frozenset[str]) -> str:
        """The experiment that keeps certificates from the pods behind these hosts now; empty where none does."""
        vouched = self._vouchers.vouched(monotonic())
        for each in self._active:
            if each.certificates and each.run in vouched and each.hosts & hosts:
                return f"{each.ref.namespace}/{each.ref.name}"
        return ""

    def _settle(self, renewed: dict[str, float]) -> None:
        """Gives out what is vouched for now; what was `renewed` (and when) is sent again."""
        at, now = monotonic(), datetime.now(UTC)
        vouched = self._vouchers.vouched(at)
        active = [
            each for each in self._faults.values() if each.run in vouched and now < each.expires
        ]
        self._give(sorted(active, key=lambda each: each.age))
        for run, when in renewed.items():
            self._hub.renew(run, when)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if active:
            ends = [vouched[each.run] + SILENCE - at for each in active]
            ends += [(each.expires - now).total_seconds() for each in active]
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, min(ends)), self._settle, {})

    def _give(self, active: Iterable[LeasedFault]) -> None:
        faults = tuple(active)
        if faults == self._active:
            return
        before, self._active = {each.run for each in self._active}, faults
        for run in sorted({each.run for each in faults} - before):
            log.info("fault begins", run=run)
        for run in sorted(before - {each.run for each in faults}):
            log.info("fault ends", run=run)
        self._hub.inject(tuple(each for each in faults if each.in_proxies))


def _read(change: Change) -> LeasedFault | None:
    if change.new is None:
        return None
    try:
        found = leased_fault(ChaosExperiment.parse(change.new))
    except InvalidObject as invalid:
        log.warning("experiment cannot be read", error=str(invalid))
        return None
    if isinstance(found, Problem):
        log.warning("fault not injected", problem=str(found))
        return None
    return found
