"""What to do about one canary now: a pure function of what was seen.

Everything that would hold any canary is looked at first; then its phase decides. Progress is read from the status
alone, so whoever decides next goes on from there. Knows neither how things were seen nor how decisions are carried out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rollout.api.canary import SUPPORTED_PROVIDERS, Canary, Phase, effective, unsupported
from rollout.api.errors import FieldError, InvalidObject
from rollout.delivery.actions import Decision, Event, SetRoutes
from rollout.delivery.phases.announce import announced
from rollout.delivery.phases.baseline import tidied
from rollout.delivery.phases.commands import decide_command
from rollout.delivery.phases.decide_analysis import decide_analysis
from rollout.delivery.phases.decide_bootstrap import decide_bootstrap
from rollout.delivery.phases.decide_deletion import decide_deletion, has_finalizer, hold, let_go
from rollout.delivery.phases.decide_promotion import decide_promotion
from rollout.delivery.phases.decide_settled import decide_settled
from rollout.delivery.phases.decide_waiting import decide_waiting
from rollout.delivery.phases.examine import examined
from rollout.delivery.phases.record import recorded
from rollout.delivery.phases.takeover import take_over
from rollout.delivery.refusals import FIELDS_IGNORED, Refusal
from rollout.delivery.routing import router_of
from rollout.delivery.situation import Situation, refuse
from rollout.delivery.snapshot import Snapshot
from rollout.kube.objects import is_deleting

_DECIDES_EVERYTHING = frozenset(
    {
        *("spec.provider", "spec.routeRef.kind", "spec.service.appProtocol", "spec.service.name"),
        *("spec.targetRef.kind", "spec.targetRef.apiVersion", "spec.analysis.replicaRatio"),
        "spec.analysis.judge",
    }
)


def decide(seen: Snapshot, now: datetime) -> Decision:
    """The next move; `now` has a time zone."""
    if is_deleting(seen.obj):
        return _decide_deletion(seen, now)
    if isinstance(seen.canary, InvalidObject):
        return refuse(seen, Refusal.INVALID_SPEC, str(seen.canary), now)
    canary = seen.canary
    if canary.spec.suspend:
        skipping = Event("skipping canary run as object is suspended", once=True)
        return Decision(status=seen.status, events=(skipping,))
    ignored = unsupported(canary, seen.settings.mesh_provider)
    blocking = [error for error in ignored if decides_everything(error.path)]
    if blocking:
        return refuse(seen, Refusal.NOT_SUPPORTED, _sentence(seen, blocking), now)
    acted_upon, told = effective(canary, seen.settings.mesh_provider)
    here = _situation(seen, acted_upon, now)
    if isinstance(here, Decision):
        return here
    decided = tidied(here, take_over(here) or decide_command(here) or _decide_phase(here))
    decision = examined(here, recorded(here, announced(here, _with_cookies(decided))))
    return _with_finalizer(here, _with_notice(seen, decision, ignored, told, now))


def _decide_phase(here: Situation) -> Decision:
    match here.status.phase:
        case Phase.NONE | Phase.INITIALIZING | Phase.TERMINATING | Phase.TERMINATED:
            return decide_bootstrap(here)
        case Phase.INITIALIZED | Phase.SUCCEEDED | Phase.FAILED:
            return decide_settled(here)
        case Phase.WAITING:
            return decide_waiting(here)
        case Phase.PROGRESSING | Phase.WAITING_PROMOTION:
            return decide_analysis(here)
        case Phase.PROMOTING | Phase.FINALISING:
            return decide_promotion(here)


def decides_everything(path: str) -> bool:
    """Whether a field that is not acted upon lets nothing be done: without a condition, others' requests would match."""
    conditions = ("spec.service.match[", "spec.analysis.match[")
    return path in _DECIDES_EVERYTHING or path.startswith(conditions)


def _with_cookies(decision: Decision) -> Decision:
    """Keep in the status which cookies the routes of this decision hand out."""
    routes = [action for action in decision.actions if isinstance(action, SetRoutes)]
    if not routes:
        return decision
    cookies = routes[-1].affinity
    status = decision.status.with_cookies(
        canary=cookies.canary.text if cookies.canary else "",
        primary=cookies.primary.text if cookies.primary else "",
        previous=cookies.previous.text if cookies.previous else "",
    )
    return decision if status == decision.status else replace(decision, status=status)


def _situation(seen: Snapshot, canary: Canary, now: datetime) -> Situation | Decision:
    """The snapshot as something to act upon, or why it is not."""
    provider = canary.spec.provider or seen.settings.mesh_provider
    router = router_of(seen.obj, seen.settings.mesh_provider)
    if router is None:
        known = ", ".join(SUPPORTED_PROVIDERS)
        error = FieldError("spec.provider", f"{provider!r} is not supported yet", f"use {known}")
        return refuse(seen, Refusal.NOT_SUPPORTED, _sentence(seen, [error]), now)
    if seen.rival:
        reason = f"{seen.target_name!r} is the target of Canary {seen.rival} already"
        error = FieldError("spec.targetRef.name", reason, "delete one of the two")
        return refuse(seen, Refusal.TARGET_SHARED, _sentence(seen, [error]), now)
    kind = seen.target_kind.kind.kind
    if seen.target is None:
        reason = f"there is no {kind} {seen.target_name!r} in namespace {seen.namespace!r}"
        error = FieldError("spec.targetRef.name", reason, "create it, or correct the name")
        return refuse(seen, Refusal.TARGET_NOT_FOUND, _sentence(seen, [error]), now)
    if reason := seen.target_kind.unusable(seen.target):
        error = FieldError("spec.targetRef.name", f"{kind} {seen.target_name!r}: {reason}")
        return refuse(seen, Refusal.TARGET_UNUSABLE, _sentence(seen, [error]), now)
    label = seen.target_kind.label(seen.target, seen.settings.selector_labels)
    if label is None:
        names = ", ".join(seen.settings.selector_labels)
        reason = f"{kind} {seen.target_name!r} has none of {names} in spec.selector.matchLabels"
        error = FieldError("spec.targetRef.name", reason, "recreate it with one of them")
        return refuse(seen, Refusal.TARGET_UNUSABLE, _sentence(seen, [error]), now)
    return Situation(
        snapshot=seen, canary=canary, target=seen.target, label=label, router=router, now=now
    )


def _decide_deletion(seen: Snapshot, now: datetime) -> Decision:
    if not has_finalizer(seen):
        return Decision(status=seen.status)
    if isinstance(seen.canary, Canary) and not seen.rival:
        canary, _ = effective(seen.canary, seen.settings.mesh_provider)
        here = _situation(seen, canary, now)
        if isinstance(here, Situation):
            return decide_deletion(here)
    # Nothing that could be given back: the deletion must not wait for ever.
    return Decision(actions=(let_go(seen),), status=seen.status)


def _with_finalizer(here: Situation, decision: Decision) -> Decision:
    wanted, there = here.canary.spec.revert_on_deletion, has_finalizer(here.snapshot)
    if wanted == there:
        return decision
    change = hold(here.snapshot) if wanted else let_go(here.snapshot)
    return replace(decision, actions=(change, *decision.actions))


def _with_notice(
    seen: Snapshot,
    decision: Decision,
    ignored: tuple[FieldError, ...],
    told: tuple[str, ...],
    now: datetime,
) -> Decision:
    """Say which fields of the canary are not acted upon; `told` are Flagger's sentences of what is done instead."""
    ignored = (*ignored, *(FieldError("spec.analysis", each) for each in told))
    if not ignored:
        return replace(decision, status=decision.status.without_condition(FIELDS_IGNORED))
    message = _sentence(seen, list(ignored))
    status = decision.status.with_condition(FIELDS_IGNORED, "True", "NotSupported", message, now)
    if status == decision.status:
        return decision
    event = Event(message, warning=True, reason=FIELDS_IGNORED)
    flaggers = (Event(each, warning=True) for each in told)
    return replace(decision, status=status, events=(*decision.events, event, *flaggers))


def _sentence(seen: Snapshot, errors: list[FieldError]) -> str:
    return f"Canary {seen.namespace}/{seen.name}: " + "; ".join(map(str, errors))
