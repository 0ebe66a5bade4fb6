"""A status whose revisions cannot be compared: Flagger's, or that of a version of this program with another format.

Such a canary is not begun again. What its revisions were is told from what is served: a settled one is at rest where the
primary runs the target's template, a running one goes on from what the routes say. Only where something shows that the
target moved while nobody looked is nothing taken over; then the phase sees a new revision, and it is analysed. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision, Event
from rollout.delivery.objects.configs import flaggers_checksum
from rollout.delivery.progress import Progress
from rollout.delivery.revision import is_foreign
from rollout.delivery.situation import Situation
from rollout.delivery.status import Status, parse_time

TAKEN_OVER = "TakenOver"
"""The reason of the event that says from where a canary goes on."""
_AT_REST = frozenset({Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED, Phase.WAITING})
_RUNNING = frozenset({Phase.PROGRESSING, Phase.WAITING_PROMOTION})


def take_over(here: Situation) -> Decision | None:
    """The same canary with revisions that can be compared; None where there is nothing to take over, or not yet.

    While a primary rolls nothing is: which revision it got is seen once it is done.
    """
    applied, phase = here.status.last_applied_spec, here.status.phase
    foreign = is_foreign(applied)
    if phase in _AT_REST and (foreign or is_foreign(here.status.last_promoted_spec)):
        if here.primary_runs_target and _same_configs(here):
            promoted = replace(_tracked(here), last_promoted_spec=here.revision)
            is_what = f"{here.target_name} is what {here.primary_name} runs"
            return _taken(here, promoted, f"{is_what}; nothing is rolled out")
        return _failed(here) if foreign and phase is Phase.FAILED else None
    return _running(here) if foreign and phase in _RUNNING else None


def _failed(here: Situation) -> Decision | None:
    """That it failed stands: its revision is known to be bad, and the primary serves."""
    if not _is_observed(here):
        return Decision(status=here.status)
    if _has_rolled(here) or not _same_configs(here):
        return None
    what = f"{here.target_name} counts as the revision that failed"
    return _taken(here, _tracked(here), f"{what}; `rollout retry {here.canary.name}` analyses it")


def _running(here: Situation) -> Decision | None:
    if not _is_observed(here):
        return Decision(status=here.status)
    progress = _progress(here)
    # Before its first requests nothing was judged that could be another revision's.
    if not _same_configs(here) or (progress.begun and _has_rolled(here)):
        return None
    checks = f" after {progress.iterations} checks" if progress.iterations else ""
    what = f"the analysis of {here.target_name} goes on at {progress.weight} %{checks}"
    return _taken(here, _tracked(here).at(progress), what)


def _taken(here: Situation, status: Status, what: str) -> Decision:
    event = Event(f"Taken over {here.name}: {what}", reason=TAKEN_OVER)
    return Decision(status=status, events=(event,))


def _tracked(here: Situation) -> Status:
    return replace(here.status, last_applied_spec=here.revision, tracked_configs=here.configs)


def _progress(here: Situation) -> Progress:
    """How far the analysis is: Flagger's status has no share of an A/B test, nor any while it waits for approval."""
    status, analysis = here.status, here.canary.spec.analysis
    wanted = analysis.iterations or 0
    weight = status.canary_weight or (here.weights.canary if here.weights else 0)
    done = wanted if status.phase is Phase.WAITING_PROMOTION else max(0, status.iterations)
    return Progress(
        weight=weight, iterations=done, mirroring=analysis.mirror and bool(done) and not weight
    )


def _same_configs(here: Situation) -> bool:
    """Whether the configs that both know are as they were; a config more or less shows in the template."""
    written: Mapping[str, str] = here.status.tracked_configs
    return all(
        written.get(ref.key, here.configs[ref.key])
        in {here.configs[ref.key], flaggers_checksum(config)}
        for ref, config in here.snapshot.configs.items()
    )


def _is_observed(here: Situation) -> bool:
    """Whether what became of the target's last change is known; of a Service nothing becomes."""
    status = here.target.get("status") or {}
    generation = int(here.target["metadata"].get("generation") or 0)
    observed = int(status.get("observedGeneration") or 0) >= generation
    return observed or not here.target_kind.makes_pods


def _has_rolled(here: Situation) -> bool:
    """Whether the target had another template since the status was last written.

    A Deployment's condition `Progressing` is renewed by templates, but neither by scaling nor by pods that come and go.
    """
    conditions = (here.target.get("status") or {}).get("conditions") or ()
    times = (parse_time(c.get("lastUpdateTime")) for c in conditions if c["type"] == "Progressing")
    last = here.status.last_transition
    return last is not None and any(time is not None and time > last for time in times)
