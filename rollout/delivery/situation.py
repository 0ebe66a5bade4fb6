"""A canary that can be acted upon: a snapshot in which everything that every phase relies on is known to be there.

Answers the questions that several phases ask, and makes the decisions that several phases make. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from rollout.api.canary import Canary
from rollout.api.kinds import DEPLOYMENT, SERVICE
from rollout.delivery.actions import Action, Apply, Decision, Event, Scale, SetRoutes
from rollout.delivery.affinity import Affinity, affinity
from rollout.delivery.objects.configs import checksums, primary_config
from rollout.delivery.objects.primary import (
    PROMOTED_EXACTLY,
    flagger_id_of,
    promoted_primary,
    runs_target,
)
from rollout.delivery.objects.services import Side, service, service_name
from rollout.delivery.podfailure import first_failure
from rollout.delivery.readiness import Readiness, Ready, readiness, replicas_of
from rollout.delivery.refusals import BLOCKED, NAMES, Refusal
from rollout.delivery.revision import has_changed, promotion_id, revision_of
from rollout.delivery.routing.router import Router, Split, Weights
from rollout.delivery.snapshot import Snapshot
from rollout.delivery.status import PROMOTED, Status, format_time
from rollout.kube.objects import Object


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One canary, its target and its router, now."""

    snapshot: Snapshot = field(repr=False)
    canary: Canary
    target: Object = field(repr=False)
    label: tuple[str, str]
    router: Router
    now: datetime

    @property
    def obj(self) -> Object:
        """The canary as served."""
        return self.snapshot.obj

    @property
    def status(self) -> Status:
        """The canary's status as served."""
        return self.snapshot.status

    @property
    def primary(self) -> Object | None:
        """The primary Deployment, if it is there."""
        return self.snapshot.primary

    @property
    def name(self) -> str:
        """The canary as events name it."""
        return f"{self.canary.name}.{self.canary.namespace}"

    @property
    def target_name(self) -> str:
        """The target as events name it."""
        return f"{self.canary.target_name}.{self.canary.namespace}"

    @property
    def primary_name(self) -> str:
        """The primary as events name it."""
        return f"{self.canary.primary_name}.{self.canary.namespace}"

    @property
    def kind(self) -> str:
        """The target's kind, for conditions."""
        return self.canary.spec.target_ref.kind

    @cached_property
    def revision(self) -> str:
        """The target's present revision."""
        return revision_of(self.target)

    @cached_property
    def configs(self) -> dict[str, str]:
        """The checksums of the tracked configs."""
        return checksums(self.snapshot.configs)

    @cached_property
    def promotion(self) -> str:
        """The id that the primary's pods carry once the target's present revision is promoted."""
        return promotion_id(self.obj, self.revision, self.configs)

    @property
    def primary_is_current(self) -> bool:
        """Whether the primary already has the target's present revision, copied by this program."""
        return self.primary is not None and flagger_id_of(self.primary) == self.promotion

    @property
    def primary_runs_target(self) -> bool:
        """Whether the primary has the target's present template, whoever copied it."""
        return self.primary is not None and runs_target(
            self.primary, self.target, self.label, self.snapshot.configs
        )

    @property
    def changed(self) -> bool:
        """Whether the target is at another revision than the canary last dealt with."""
        return has_changed(self.status, self.revision, self.configs)

    @property
    def weights(self) -> Weights | None:
        """What the served routes say."""
        return self.router.weights(self.obj, self.snapshot.seen)

    @property
    def due(self) -> datetime:
        """When the next step may be made: one interval after the last."""
        last = self.status.last_transition
        return self.now if last is None else last + self.interval

    @property
    def interval(self) -> timedelta:
        """The time between two steps."""
        return self.canary.interval(self.snapshot.settings.minimum_interval)

    @property
    def target_ready(self) -> Readiness:
        """Whether the target's pods may get traffic."""
        threshold = self.canary.spec.analysis.canary_ready_threshold
        return self._readiness(self.target, 100 if threshold is None else threshold)

    @property
    def primary_ready(self) -> Readiness | None:
        """Whether the primary's pods may get traffic; None where there is no primary."""
        threshold = self.canary.spec.analysis.primary_ready_threshold
        if self.primary is None:
            return None
        return self._readiness(self.primary, 100 if threshold is None else threshold)

    def _readiness(self, deployment: Object, threshold: int) -> Readiness:
        state = readiness(
            deployment,
            threshold=threshold,
            deadline=self.canary.progress_deadline,
            since=self.status.last_transition or self.now,
            now=self.now,
        )
        pods = (self.snapshot.pods or {}).get(deployment["metadata"]["name"], ())
        if isinstance(state, Ready) or not (why := first_failure(pods)):
            return state
        return replace(state, message=f"{state.message}; {why}")

    def service(self, side: Side) -> Apply:
        """One of the three services as it should be."""
        observed = self.snapshot.seen(SERVICE, service_name(self.obj, side))
        apex = self.snapshot.seen(SERVICE, service_name(self.obj, Side.APEX))
        return service(self.obj, side, self.label, self.target, observed, apex)

    def sides(self) -> tuple[Apply, ...]:
        """The canary's and the primary's service, where there are services."""
        if self.canary.spec.service is None:
            return ()
        return self.service(Side.CANARY), self.service(Side.PRIMARY)

    def services(self) -> tuple[Apply, ...]:
        """All three; the apex last, so that it never selects what is not there."""
        return (*sides, self.service(Side.APEX)) if (sides := self.sides()) else ()

    @property
    def obstacle(self) -> str:
        """Why the served routes are not in force, or cannot be written; empty where nothing is wrong."""
        return self.router.obstacle(self.obj, self.snapshot.seen)

    def set_routes(self, canary: int, *, mirroring: bool = False) -> SetRoutes:
        """Give the canary this share of the traffic, or copies of it, and the primary the rest."""
        weights = Weights.of_canary(canary)
        cookies = self.affinity(canary)
        split = Split(weights=weights, mirroring=mirroring, affinity=cookies)
        objects = self.router.routes(self.obj, self.snapshot.seen, split)
        return SetRoutes(weights.primary, weights.canary, objects, cookies)

    def affinity(self, canary: int) -> Affinity:
        """Who stays where while the canary has this share."""
        began = self.status.condition(PROMOTED)
        run = f"{self.promotion} {format_time(began.last_update) if began else ''}"
        return affinity(
            self.canary.spec.analysis.session_affinity,
            share=canary,
            current=self.status.session_affinity_cookie,
            previous=self.status.previous_session_affinity_cookie,
            run=run,
            step=self.interval,
        )

    def upkeep(self, canary: int, *, mirroring: bool = False) -> tuple[Action, ...]:
        """Services and routes as they should be while the canary has this share: nothing, as long as nobody meddles."""
        return (*self.services(), self.set_routes(canary, mirroring=mirroring))

    def kept(self, share: int) -> tuple[Action, ...]:
        """Upkeep while nothing moves: where requests were copied to the canary, they still are."""
        return self.upkeep(share, mirroring=self.status.mirroring and not share)

    def copies(self) -> tuple[Apply, ...]:
        """The primary's copies of the tracked configs."""
        prefixes = self.snapshot.settings.include_label_prefixes
        return tuple(
            Apply(
                ref.kind,
                primary_config(self.obj, self.snapshot.configs[ref], ref.kind, prefixes),
                exact=("data", "binaryData"),
            )
            for ref in sorted(self.snapshot.configs)
        )

    def promote_primary(self) -> tuple[Apply, ...]:
        """The target's revision and configs, copied to the primary."""
        desired = promoted_primary(
            self.target, self.label, configs=self.snapshot.configs, flagger_id=self.promotion
        )
        return (*self.copies(), apply_primary(desired))

    def scale_up(self) -> Scale:
        """As many pods of the target as it asks for, or as the primary has where it asks for none; where shares of pods
        are shares of the work, one.
        """
        if self.canary.spec.analysis.replica_ratio:
            return Scale(self.canary.target_name, 1)
        wanted = replicas_of(self.target) or (replicas_of(self.primary) if self.primary else 0)
        return Scale(self.canary.target_name, max(1, wanted))

    def scale_to_zero(self) -> Scale:
        """No pods of the target."""
        return Scale(self.canary.target_name, 0)

    @property
    def fresh_status(self) -> Status:
        """The status without a block that no longer holds."""
        return self.status.without_condition(BLOCKED)

    def wait(
        self, message: str, *, share: int | None, until: datetime | None, warning: bool = True
    ) -> Decision:
        """Leave everything as it is, say why once, and look again at `until` at the latest."""
        return Decision(
            actions=self.kept(share) if share is not None else (),
            status=self.fresh_status,
            events=(Event(message, warning=warning, once=True),),
            wake=until,
        )

    def refuse(self, refusal: Refusal, message: str, *, share: int | None = None) -> Decision:
        """Leave everything as it is, and say what has to be mended."""
        decision = refuse(self.snapshot, refusal, message, self.now)
        return replace(decision, actions=self.kept(share)) if share is not None else decision


def apply_primary(desired: Object) -> Apply:
    """Bring the primary to a template, exactly."""
    return Apply(DEPLOYMENT, desired, exact=PROMOTED_EXACTLY)


def refuse(snapshot: Snapshot, refusal: Refusal, message: str, now: datetime) -> Decision:
    """A decision that changes nothing but says, in a condition and one event, what has to be mended."""
    names = NAMES[refusal]
    status = snapshot.status.with_condition(BLOCKED, "True", names.condition, message, now)
    told = status != snapshot.status
    events = (Event(message, warning=True, reason=names.event),) if told else ()
    return Decision(status=status, events=events, refusal=refusal)
