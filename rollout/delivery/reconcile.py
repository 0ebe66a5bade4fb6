"""One look at one canary: observe, decide, have checks made if the decision asks for them, act.

The only place where delivery's pure part meets the clock and the world. What the API server refuses becomes a condition
and an event like any other refusal; what it merely cannot do now is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from rollout.api.canary import Canary
from rollout.api.kinds import CANARY
from rollout.delivery.act import Actor, WriteFailed
from rollout.delivery.actions import Decision
from rollout.delivery.alerts.alert import Alert
from rollout.delivery.decide import decide
from rollout.delivery.experiments import undisturbed
from rollout.delivery.hooks.call import HookCall, Outcome
from rollout.delivery.metrics import DeliveryMetrics
from rollout.delivery.observe import Observer
from rollout.delivery.refusals import NAMES, Refusal
from rollout.delivery.routing import routed_kinds
from rollout.delivery.situation import refuse
from rollout.delivery.snapshot import Snapshot
from rollout.delivery.status import Status
from rollout.judge.checks import Answer, Check, QueryFailed, Source
from rollout.judge.trials import Observed, Trial
from rollout.kube.errors import Conflict, Forbidden, Invalid, NotFound
from rollout.kube.objects import Key, Object, Objects

log = structlog.get_logger(__name__)

_ROUTES = frozenset(routed_kinds())


class Evidence(Protocol):
    """Where checks are made: `rollout.judge.evidence.prometheus.Prometheus`."""

    async def answer(self, check: Check) -> Answer:
        """Make one check; never raises."""
        ...

    async def online(self, address: str) -> QueryFailed | None:
        """None where checks can be made at this address."""
        ...

    async def configured(self, source: Source) -> QueryFailed | None:
        """None where a template's provider can be asked as it is configured."""
        ...


class Hooks(Protocol):
    """Who calls hooks: `rollout.delivery.hooks.caller.HookDesk`."""

    def outcomes(self, key: Key) -> Mapping[HookCall, Outcome]:
        """What the canary's calls came to so far."""
        ...

    def ask(self, key: Key, calls: Sequence[HookCall]) -> None:
        """Have calls made, and the canary looked at when they are answered."""
        ...

    def used(self, key: Key) -> None:
        """Forget the canary's calls."""
        ...


class Trials(Protocol):
    """Who watches canaries that are judged: `rollout.delivery.judging.desk.JudgeDesk`."""

    def observed(self, key: Key) -> Observed:
        """What was seen of a canary that its status does not have yet."""
        ...

    def follow(self, key: Key, trial: Trial | None, written: datetime | None) -> None:
        """Watch this trial of the canary's from now on, or none; what is older than `written` is forgotten."""
        ...


def utc_now() -> datetime:
    """The clock of the shell."""
    return datetime.now(UTC)


class Reconciler:
    """Looks at canaries, one at a time per canary; `again` is asked to look at one later."""

    def __init__(
        self,
        observer: Observer,
        actor: Actor,
        evidence: Evidence,
        metrics: DeliveryMetrics,
        *,
        again: Callable[[Key, timedelta], None],
        probe: Callable[[Snapshot], None],
        hooks: Hooks,
        alert: Callable[[Canary, tuple[Alert, ...]], None],
        pods: Callable[[Object], Awaitable[Objects]] | None = None,
        trials: Trials | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._observer, self._actor, self._evidence = observer, actor, evidence
        self._metrics, self._again, self._probe, self._clock = metrics, again, probe, clock
        self._hooks, self._alert, self._pods, self._trials = hooks, alert, pods, trials
        self._due: dict[Key, datetime] = {}
        self._rest: dict[Key, datetime] = {}
        self._answers: dict[Key, tuple[datetime, Mapping[Check, Answer]]] = {}
        self._moved: dict[Key, tuple[datetime, datetime]] = {}

    async def reconcile(self, key: Key) -> bool:
        """One look. False asks the caller to look again after a back-off."""
        began = self._clock()
        seen = self._see(key)
        if seen is None:
            self.forget(key)
            return True
        self._note_lag(key, began)
        seen, decision = await self._decide(key, seen)
        if seen is None or decision is None:
            return True
        self._ask(key, seen, decision)
        went_well = await self._act(key, seen, decision)
        self._metrics.looked(seen, decision, (self._clock() - began).total_seconds())
        if decision.wake is not None:
            self._due[key] = decision.wake
            self._again(key, decision.wake - self._clock())
        if went_well and decision.probe_metrics:
            self._probe(seen)
        return went_well

    def forget(self, key: Key) -> None:
        """The canary is gone, or another's to look at."""
        self._due.pop(key, None)
        self._rest.pop(key, None)
        self._answers.pop(key, None)
        self._moved.pop(key, None)
        self._hooks.used(key)
        if self._trials is not None:
            self._trials.follow(key, None, None)
        self._actor.forget(key)
        self._metrics.gone(key)

    def _see(self, key: Key, answers: Mapping[Check, Answer] | None = None) -> Snapshot | None:
        until, kept = self._answers.get(key, (None, None))
        if answers is None and until is not None and self._clock() < until:
            answers = kept
        seen = self._observer.snapshot(key, answers)
        if seen is None:
            return None
        observed = self._trials.observed(key) if self._trials else Observed()
        observed = undisturbed(observed, seen.disturbances)
        return replace(
            seen,
            status=self._exact(key, seen.status),
            hooks=self._hooks.outcomes(key),
            rest=self._rest.get(key),
            observed=observed,
        )

    def _exact(self, key: Key, status: Status) -> Status:
        """The status with the very moment at which its last step was made, where this process made it.

        Written times are whole seconds, and those of the decision: by them, all canaries that began together would be
        due at the same instant again and again.
        """
        written, made = self._moved.get(key, (None, None))
        if made is None or status.last_transition != written:
            return status
        return replace(status, last_transition=made)

    def _made(self, key: Key, seen: Snapshot, decision: Decision) -> None:
        """A status was written."""
        last = decision.status.last_transition
        if last is not None:
            made = last if last == seen.status.last_transition else self._clock()
            self._moved[key] = last.replace(microsecond=0), made

    def _ask(self, key: Key, seen: Snapshot, decision: Decision) -> None:
        """Have hooks called that the decision waits for; forget what they, and checks, said once it waits for none."""
        if self._trials is not None:
            written = seen.status.judge
            self._trials.follow(key, decision.trial, written.until if written else None)
        if decision.hooks:
            self._keep(key, seen)
            self._hooks.ask(key, decision.hooks)
            return
        if not decision.checks:
            self._hooks.used(key)
            self._answers.pop(key, None)
        if decision.rest is not None:
            self._rest[key] = decision.rest
        else:
            self._rest.pop(key, None)

    def _keep(self, key: Key, seen: Snapshot) -> None:
        """What checks said holds for an interval, so that they need not be made again once hooks have answered."""
        _, kept = self._answers.get(key, (None, None))
        if seen.answers and seen.answers is not kept and isinstance(seen.canary, Canary):
            until = self._clock() + seen.canary.interval(seen.settings.minimum_interval)
            self._answers[key] = until, seen.answers

    async def _decide(self, key: Key, seen: Snapshot) -> tuple[Snapshot | None, Decision | None]:
        decision = decide(seen, self._clock())
        if decision.examine and self._pods is not None:
            looked_at = await self._examine(seen, decision.examine, self._pods)
            again = self._see(key)
            if again is None:
                return None, None
            seen = replace(again, pods=looked_at)
            decision = decide(seen, self._clock())
        if not decision.checks:
            return seen, decision
        answers = await asyncio.gather(*map(self._evidence.answer, decision.checks))
        self._metrics.answered(seen, decision.checks, answers)
        # The world may have moved while the queries ran; what is decided now is about the world as it is.
        now_seen = self._see(key, dict(zip(decision.checks, answers, strict=True)))
        if now_seen is None:
            return None, None
        decision = decide(now_seen, self._clock())
        if decision.checks:
            self._again(key, timedelta(0))
        return now_seen, decision

    async def _examine(
        self, seen: Snapshot, names: tuple[str, ...], read: Callable[[Object], Awaitable[Objects]]
    ) -> dict[str, Objects]:
        kind = seen.target_kind.kind
        found = {name: each for name in names if (each := seen.seen(kind, name)) is not None}
        return {name: await read(each) for name, each in found.items()}

    async def _act(self, key: Key, seen: Snapshot, decision: Decision) -> bool:
        try:
            await self._actor.carry_out(seen, decision)
        except WriteFailed as failed:
            return await self._write_failed(key, failed)
        if decision.alerts and isinstance(seen.canary, Canary):
            self._alert(seen.canary, decision.alerts)
        if decision.status != seen.status:
            self._made(key, seen, decision)
            log.info(
                "canary moved",
                canary=str(key),
                phase=str(decision.status.phase),
                weight=decision.status.canary_weight,
                failed_checks=decision.status.failed_checks,
                events=[event.message for event in decision.events],
            )
        if decision.refusal is not None:
            log.warning(
                NAMES[decision.refusal].log,
                canary=str(key),
                message=[event.message for event in decision.events],
            )
        return True

    async def _write_failed(self, key: Key, failed: WriteFailed) -> bool:
        if isinstance(failed.error, Conflict):
            # Somebody wrote meanwhile; what they wrote is on its way to the store.
            log.debug("conflict", canary=str(key), object=f"{failed.kind.kind} {failed.name}")
            return False
        absent = isinstance(failed.error, NotFound) and failed.kind in _ROUTES
        if not (absent or isinstance(failed.error, Invalid | Forbidden)):
            log.warning("API server unavailable", canary=str(key), error=str(failed))
            return False
        refusal = Refusal.ROUTE_REFUSED if failed.kind in _ROUTES else Refusal.WRITE_REFUSED
        causes = "; ".join(failed.error.causes)
        remedy = "mend the field of the Canary that it comes from, or what refuses it"
        if absent:
            remedy = f"install the CRDs of {failed.kind.group}, or use another provider"
        reason = causes or failed.error.message
        message = f"{failed.kind.kind} {failed.name} was refused: {reason} ({remedy})"
        self._metrics.refused(refusal)
        seen = self._observer.snapshot(key)
        if seen is None or failed.kind == CANARY:
            log.error(NAMES[refusal].log, canary=str(key), message=message)
            return False
        try:
            await self._actor.carry_out(seen, refuse(seen, refusal, message, self._clock()))
        except WriteFailed as again:
            log.warning("could not say why", canary=str(key), error=str(again))
        return False

    def _note_lag(self, key: Key, now: datetime) -> None:
        due = self._due.get(key)
        if due is not None and due <= now:
            self._metrics.lag((now - due).total_seconds())
            del self._due[key]
