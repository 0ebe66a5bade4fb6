"""A canary that can be acted upon: a snapshot in which everything that every phase relies on is known to be there.

Answers the questions that several phases ask, and makes the decisions that several phases make. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from rollout.api.canary import Canary
from rollout.api.kinds import SERVICE
from rollout.delivery.actions import Action, Apply, Decision, Event, SetRoutes
from rollout.delivery.affinity import Affinity, affinity
from rollout.delivery.experiments import Experiment
from rollout.delivery.objects.baseline import can_serve
from rollout.delivery.objects.configs import checksums
from rollout.delivery.objects.services import Side, service, service_name
from rollout.delivery.podfailure import first_failure
from rollout.delivery.readiness import Readiness, Ready
from rollout.delivery.refusals import BLOCKED, NAMES, Refusal
from rollout.delivery.revision import has_changed, promotion_id
from rollout.delivery.routing.router import Router, Split, Weights
from rollout.delivery.snapshot import Snapshot
from rollout.delivery.status import PROMOTED, UNDER_ANALYSIS, Status, format_time
from rollout.delivery.targets.target import Label, Patience, Source, Target
from rollout.kube.objects import Object


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One canary, its target and its router, now."""

    snapshot: Snapshot = field(repr=False)
    canary: Canary
    target: Object = field(repr=False)
    label: Label
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
        """The primary, if it is there."""
        return self.snapshot.primary

    @property
    def baseline(self) -> Object | None:
        """The fresh baseline, if it is there."""
        return self.snapshot.baseline

    @property
    def compares_afresh(self) -> bool:
        """Whether there is to be a fresh baseline now: while a revision is judged by it."""
        return self.canary.spec.fresh_baseline and self.status.phase in UNDER_ANALYSIS

    @property
    def target_kind(self) -> Target:
        """What kind of target it is."""
        return self.snapshot.target_kind

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
    def baseline_words(self) -> str:
        """The baseline as sentences about its pods name it."""
        return f"baseline {self.kind.lower()} {self.canary.baseline_name}.{self.canary.namespace}"

    @property
    def canary_words(self) -> str:
        """The target as sentences about its pods name it."""
        return f"canary {self.kind.lower()} {self.target_name}"

    @property
    def kind(self) -> str:
        """The target's kind, for conditions."""
        return self.canary.spec.target_ref.kind

    @cached_property
    def revision(self) -> str:
        """The target's present revision."""
        return self.target_kind.revision(self.target)

    @cached_property
    def configs(self) -> dict[str, str]:
        """The checksums of the tracked configs."""
        return checksums(self.snapshot.configs)

    @cached_property
    def promotion(self) -> str:
        """The id that the primary's pods carry once the target's present revision is promoted."""
        return promotion_id(self.obj, self.revision, self.configs)

    @property
    def source(self) -> Source:
        """What a primary with the target's present revision is made of."""
        return Source(
            owner=self.obj,
            target=self.target,
            label=self.label,
            configs=self.snapshot.configs,
            promotion=self.promotion,
            prefixes=self.snapshot.settings.include_label_prefixes,
        )

    @property
    def primary_is_current(self) -> bool:
        """Whether the primary already has the target's present revision, copied by this program."""
        primary = self.primary
        return primary is not None and self.target_kind.promotion_of(primary) == self.promotion

    @property
    def primary_runs_target(self) -> bool:
        """Whether the primary has the target's present template, whoever copied it."""
        return self.primary is not None and self.target_kind.runs(self.primary, self.source)

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
    def soonest(self) -> datetime:
        """When the next step may be made at the earliest: before it is due only where the judge is sure before."""
        last = self.status.last_transition
        if last is None or self.canary.spec.analysis.judge is None:
            return self.due
        return min(self.due, last + self.snapshot.settings.minimum_interval)

    @cached_property
    def disturbances(self) -> tuple[Experiment, ...]:
        """The ChaosExperiments about this service that are not part of the analysis."""
        return self.snapshot.disturbances

    @cached_property
    def undisturbed_since(self) -> datetime | None:
        """When the last fault of another ended; None where there was none."""
        ends = (each.ended for each in self.disturbances if each.began and each.ended)
        return max(ends, default=None)

    def experiment(self, name: str) -> Experiment | None:
        """A ChaosExperiment of the canary's namespace, where the analysis names it."""
        for each in self.snapshot.experiments:
            if each.key == (self.canary.namespace, name):
                return each
        return None

    @property
    def interval(self) -> timedelta:
        """The time between two steps."""
        return self.canary.interval(self.snapshot.settings.minimum_interval)

    @property
    def target_ready(self) -> Readiness:
        """Whether the target's pods may get traffic."""
        return self._readiness(self.target, self.canary.spec.analysis.canary_ready_threshold)

    @property
    def primary_ready(self) -> Readiness | None:
        """Whether the primary's pods may get traffic; None where there is no primary."""
        threshold = self.canary.spec.analysis.primary_ready_threshold
        return self._readiness(self.primary, threshold) if self.primary else None

    @property
    def baseline_ready(self) -> Readiness | None:
        """Whether all of the baseline's pods may get traffic, as the canary's; None where there is no baseline."""
        threshold = self.canary.spec.analysis.canary_ready_threshold
        return self._readiness(self.baseline, threshold) if self.baseline else None

    def _readiness(self, workload: Object, threshold: int | None) -> Readiness:
        patience = Patience(
            threshold=100 if threshold is None else threshold,
            deadline=self.canary.progress_deadline,
            since=self.status.last_transition or self.now,
            now=self.now,
        )
        state = self.target_kind.readiness(workload, patience)
        pods = (self.snapshot.pods or {}).get(workload["metadata"]["name"], ())
        if isinstance(state, Ready) or not (why := first_failure(pods)):
            return state
        return replace(state, message=f"{state.message}; {why}")

    def service(self, side: Side) -> Apply:
        """One of the services as it should be."""
        observed = self.snapshot.seen(SERVICE, service_name(self.obj, side))
        apex = self.snapshot.seen(SERVICE, service_name(self.obj, Side.APEX))
        return service(self.obj, side, self.label, self.target, observed, apex)

    def sides(self) -> tuple[Apply, ...]:
        """The canary's and the primary's service, where there are services, and those that the target needs besides."""
        beside = tuple(
            Apply(SERVICE, each, exact=("spec.selector",))
            for each in self.target_kind.beside(self.source, self.snapshot.seen)
        )
        if not self.has_services:
            return beside
        return (*beside, self.service(Side.CANARY), self.service(Side.PRIMARY))

    def services(self) -> tuple[Apply, ...]:
        """All of them; the apex last, so that it never selects what is not there."""
        return (*self.sides(), *((self.service(Side.APEX),) if self.has_services else ()))

    @property
    def has_services(self) -> bool:
        """Whether the three services are made; a target that is a Service is the apex itself."""
        return self.canary.spec.service is not None and self.target_kind.makes_pods

    @property
    def obstacle(self) -> str:
        """Why the served routes are not in force, or cannot be written; empty where nothing is wrong."""
        return self.router.obstacle(self.obj, self.snapshot.seen)

    def set_routes(self, canary: int, *, mirroring: bool = False) -> SetRoutes:
        """Give the canary this share of the traffic, or copies of it, the baseline as much where it can serve, and the
        primary the rest.
        """
        compares = self.compares_afresh and can_serve(self.baseline)
        weights = Weights.beside_baseline(canary) if compares else Weights.of_canary(canary)
        cookies = self.affinity(canary)
        split = Split(weights=weights, mirroring=mirroring, affinity=cookies)
        objects = self.router.routes(self.obj, self.snapshot.seen, split)
        return SetRoutes(weights.primary, weights.canary, objects, cookies, weights.baseline)

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


def refuse(snapshot: Snapshot, refusal: Refusal, message: str, now: datetime) -> Decision:
    """A decision that changes nothing but says, in a condition and one event, what has to be mended."""
    names = NAMES[refusal]
    status = snapshot.status.with_condition(BLOCKED, "True", names.condition, message, now)
    told = status != snapshot.status
    events = (Event(message, warning=True, reason=names.event),) if told else ()
    return Decision(status=status, events=events, refusal=refusal)
