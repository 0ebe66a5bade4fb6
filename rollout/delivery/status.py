"""A canary's `.status`: its phases, how each says itself, and the few ways in which it may change.

All progress of a rollout is kept here, so that another process can go on from it. Field names, messages and the moments
at which `lastTransitionTime` moves are Flagger's. Knows neither the cluster nor what a change of phase entails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rollout.api.canary.status import Phase
from rollout.delivery.judging.record import JudgeRecord
from rollout.delivery.progress import Progress
from rollout.delivery.records import CommandRecord, Run, StepRecord

PROMOTED = "Promoted"
JUDGED = "Judged"
"""The condition that says what the judge says: True where the canary is not worse, False where it is."""

UNDER_ANALYSIS = frozenset({Phase.PROGRESSING, Phase.WAITING_PROMOTION})
"""The phases in which a revision is judged."""
SETTLED = frozenset({Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED})
"""The phases in which nothing is under way: only a new revision moves the canary on."""

_PROMOTED_BY_PHASE: Mapping[Phase, tuple[str, str]] = {
    Phase.INITIALIZING: ("Unknown", "New {kind} detected, starting initialization."),
    Phase.INITIALIZED: ("True", "{kind} initialization completed."),
    Phase.WAITING: ("Unknown", "Waiting for approval."),
    Phase.WAITING_PROMOTION: ("Unknown", "Waiting for approval."),
    Phase.PROGRESSING: ("Unknown", "New revision detected, progressing canary analysis."),
    Phase.PROMOTING: ("Unknown", "Canary analysis completed, starting primary rolling update."),
    Phase.FINALISING: ("Unknown", "Canary analysis completed, routing all traffic to primary."),
    Phase.SUCCEEDED: ("True", "Canary analysis completed successfully, promotion finished."),
    Phase.FAILED: ("False", "Canary analysis failed, {kind} scaled to zero."),
    Phase.TERMINATING: ("Unknown", "New {kind} detected, starting initialization."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One entry of `status.conditions`."""

    type: str
    status: str
    reason: str
    message: str
    last_update: datetime
    last_transition: datetime

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Condition:
        """Read an entry as served; a time that is missing or broken counts as long ago."""
        return cls(
            type=str(data.get("type", "")),
            status=str(data.get("status", "")),
            reason=str(data.get("reason", "")),
            message=str(data.get("message", "")),
            last_update=parse_time(data.get("lastUpdateTime")) or _LONG_AGO,
            last_transition=parse_time(data.get("lastTransitionTime")) or _LONG_AGO,
        )

    def dump(self) -> dict[str, Any]:
        """The entry as it is written."""
        return {
            "type": self.type,
            "status": self.status,
            "lastUpdateTime": format_time(self.last_update),
            "lastTransitionTime": format_time(self.last_transition),
            "reason": self.reason,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole of `.status` that delivery reads and writes; unknown keys are left where they are."""

    phase: Phase = Phase.NONE
    failed_checks: int = 0
    canary_weight: int = 0
    iterations: int = 0
    mirroring: bool = False
    session_affinity_cookie: str = ""
    primary_session_affinity_cookie: str = ""
    previous_session_affinity_cookie: str = ""
    tracked_configs: Mapping[str, str] = field(default_factory=dict)
    last_applied_spec: str = ""
    last_promoted_spec: str = ""
    last_transition: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    analysis: tuple[StepRecord, ...] = ()
    history: tuple[Run, ...] = ()
    command: CommandRecord | None = None
    judge: JudgeRecord | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any] | None) -> Status:
        """Read a status as served. An unknown phase counts as none, so that the canary is initialized anew."""
        data = data or {}
        phase = data.get("phase") or ""
        return cls(
            phase=Phase(phase) if phase in set(Phase) else Phase.NONE,
            failed_checks=int(data.get("failedChecks") or 0),
            canary_weight=int(data.get("canaryWeight") or 0),
            iterations=int(data.get("iterations") or 0),
            mirroring=data.get("mirroring") is True,
            session_affinity_cookie=_cookie(data, "sessionAffinityCookie"),
            primary_session_affinity_cookie=_cookie(data, "primarySessionAffinityCookie"),
            previous_session_affinity_cookie=_cookie(data, "previousSessionAffinityCookie"),
            tracked_configs=dict(data.get("trackedConfigs") or {}),
            last_applied_spec=str(data.get("lastAppliedSpec") or ""),
            last_promoted_spec=str(data.get("lastPromotedSpec") or ""),
            last_transition=parse_time(data.get("lastTransitionTime")),
            conditions=tuple(map(Condition.parse, data.get("conditions") or ())),
            analysis=tuple(map(StepRecord.parse, data.get("analysis") or ())),
            history=tuple(map(Run.parse, data.get("history") or ())),
            command=CommandRecord.parse(data.get("command")),
            judge=JudgeRecord.parse(data.get("judge")),
        )

    def dump(self) -> dict[str, Any]:
        """The status as it is written: every field that delivery owns and that has a value; None takes one away."""
        when = self.last_transition
        return {
            **({"phase": str(self.phase)} if self.phase else {}),
            **({"lastTransitionTime": format_time(when)} if when else {}),
            "failedChecks": self.failed_checks,
            "canaryWeight": self.canary_weight,
            "iterations": self.iterations,
            "mirroring": self.mirroring or None,
            "sessionAffinityCookie": self.session_affinity_cookie or None,
            "primarySessionAffinityCookie": self.primary_session_affinity_cookie or None,
            "previousSessionAffinityCookie": self.previous_session_affinity_cookie or None,
            "trackedConfigs": dict(self.tracked_configs),
            "lastAppliedSpec": self.last_applied_spec,
            "lastPromotedSpec": self.last_promoted_spec,
            "conditions": [condition.dump() for condition in self.conditions],
            **({"analysis": [step.dump() for step in self.analysis]} if self.analysis else {}),
            **({"history": [run.dump() for run in self.history]} if self.history else {}),
            **({"command": self.command.dump()} if self.command else {}),
            "judge": self.judge.dump() if self.judge else None,
        }

    def with_cookies(self, *, canary: str, primary: str, previous: str) -> Status:
        """The same status with the cookies that the routes hand out, and the last one to be taken back."""
        return replace(
            self,
            session_affinity_cookie=canary,
            primary_session_affinity_cookie=primary,
            previous_session_affinity_cookie=previous,
        )

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((c for c in self.conditions if c.type == type_), None)

    def enter(self, phase: Phase, now: datetime, *, kind: str) -> Status:
        """The status after a change of phase; `kind` is the target's, for the condition's message.

        Weight, iterations and mirroring are those of an analysis, so every other phase starts without.
        """
        promoted, message = _PROMOTED_BY_PHASE[phase]
        return replace(
            self,
            phase=phase,
            canary_weight=0,
            iterations=0,
            mirroring=False,
            last_promoted_spec=(
                self.last_applied_spec
                if phase in {Phase.INITIALIZED, Phase.SUCCEEDED}
                else self.last_promoted_spec
            ),
            last_transition=now,
            judge=self.judge if phase in UNDER_ANALYSIS or not self.judge else self.judge.closed(),
        ).with_condition(PROMOTED, promoted, str(phase), message.format(kind=kind), now)

    @property
    def progress(self) -> Progress:
        """How far the analysis is."""
        return Progress(
            weight=self.canary_weight, iterations=self.iterations, mirroring=self.mirroring
        )

    def at(self, progress: Progress) -> Status:
        """The same status with the analysis so far."""
        return replace(
            self,
            canary_weight=progress.weight,
            iterations=progress.iterations,
            mirroring=progress.mirroring,
        )

    def stepped(self, now: datetime, after: Progress) -> Status:
        """The status after a step that succeeded."""
        return replace(self.at(after), last_transition=now)

    def check_failed(self, now: datetime) -> Status:
        """The status after a step that was held back by a check."""
        return replace(self, failed_checks=self.failed_checks + 1, last_transition=now)

    def tracking(self, revision: str, configs: Mapping[str, str]) -> Status:
        """The same status for another revision of the target, whose analysis has not begun."""
        return replace(
            self,
            judge=None,
            conditions=self.without_condition(JUDGED).conditions,
            last_applied_spec=revision,
            tracked_configs=dict(configs),
            failed_checks=0,
            canary_weight=0,
            iterations=0,
            mirroring=False,
        )

    def with_condition(
        self, type_: str, status: str, reason: str, message: str, now: datetime
    ) -> Status:
        """The same status with this condition; its times move only with what they stand for."""
        old = self.condition(type_)
        same_state = old is not None and old.status == status and old.reason == reason
        if old is not None and same_state and (old.message == message or type_ == PROMOTED):
            return self
        new = Condition(
            type=type_,
            status=status,
            reason=reason,
            message=message,
            last_update=now,
            last_transition=old.last_transition if old and old.status == status else now,
        )
        others = tuple(c for c in self.conditions if c.type != type_)
        # "Promoted" stays first: there are scripts that read conditions[0].
        return replace(self, conditions=(new, *others) if type_ == PROMOTED else (*others, new))

    def without_condition(self, type_: str) -> Status:
        """The same status without any condition of that type."""
        if self.condition(type_) is None:
            return self
        return replace(self, conditions=tuple(c for c in self.conditions if c.type != type_))


def _cookie(data: Mapping[str, Any], name: str) -> str:
    text = data.get(name)
    return text if isinstance(text, str) and "=" in text else ""


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time as Kubernetes writes it, or None."""
    try:
        parsed = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return parsed.replace(tzinfo=parsed.tzinfo or UTC) if parsed else None


def format_time(time: datetime) -> str:
    """Kubernetes' whole seconds, as in `2026-01-20T22:50:16Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
