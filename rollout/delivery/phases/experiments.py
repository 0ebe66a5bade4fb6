"""ChaosExperiments and a canary's analysis: faults of others do not count against it, and its own are part of it. Pure."""

from __future__ import annotations

from rollout.api.chaos import RUN_ANNOTATION, Verdict
from rollout.api.kinds import CHAOS_EXPERIMENT
from rollout.delivery.actions import Apply, Decision, Event
from rollout.delivery.checking import Held
from rollout.delivery.experiments import Experiment
from rollout.delivery.refusals import Refusal
from rollout.delivery.situation import Situation
from rollout.delivery.status import format_time


def disturbed(here: Situation) -> Held | Decision | None:
    """What holds the canary while somebody breaks its service, and for an interval after: nothing that is measured then
    says anything of the revision."""
    for each in here.disturbances:
        if each.breaks:
            message = f"Halt {here.name} advancement ChaosExperiment {each.key} breaks its service: checks do not count"
            remedy = "wait until it is over, or stop it"
            return Held(message=message, refusal=Refusal.CHAOS, remedy=remedy, counts=False)
    ended = here.undisturbed_since
    if ended is None or here.now >= ended + here.interval:
        return None
    share = here.status.canary_weight
    return Decision(actions=here.kept(share), status=here.status, wake=ended + here.interval)


def begun(here: Situation) -> Held | Decision | None:
    """Has the experiments of the analysis begun, each once for each analysis; None when all of them are."""
    for ref in here.canary.spec.analysis.chaos:
        found = here.experiment(ref.name)
        if found is None:
            return _missing(here, ref.name)
        if found.service == here.canary.apex_name and found.arm != "all":
            return Held(
                message=f"Halt {here.name} advancement ChaosExperiment {found.key} breaks one version only",
                refusal=Refusal.CHAOS,
                remedy="set its spec.target.arm to all: the versions are compared under the same fault",
            )
        if found.asked != request_of(here):
            return _ask(here, found)
    return None


def passed(here: Situation) -> Held | Decision | None:
    """Whether the new version withstood its experiments; asked before it is promoted."""
    for ref in here.canary.spec.analysis.chaos:
        found = here.experiment(ref.name)
        if found is None:
            return _missing(here, ref.name)
        if found.answered != request_of(here) or not found.phase.is_over:
            share = here.status.canary_weight
            wake = here.now + here.interval
            return Decision(actions=here.kept(share), status=here.status, wake=wake)
        if found.verdict is not Verdict.PASS:
            return Held(
                message=f"Halt {here.name} advancement ChaosExperiment {found.key} ended with"
                f" {found.verdict}: {found.reason}",
                refusal=Refusal.CHAOS,
                remedy="see its ChaosReport",
            )
    return None


def request_of(here: Situation) -> str:
    """What an experiment is asked for by: the same for one analysis, another for each."""
    runs = here.status.history
    began = format_time(runs[-1].started) if runs else here.revision
    return f"{here.canary.name}/{began}"


def _ask(here: Situation, found: Experiment) -> Decision:
    share = here.status.canary_weight
    desired = {
        "metadata": {
            "namespace": found.key.namespace,
            "name": found.key.name,
            "annotations": {RUN_ANNOTATION: request_of(here)},
        }
    }
    return Decision(
        actions=(*here.kept(share), Apply(CHAOS_EXPERIMENT, desired)),
        status=here.status,
        events=(Event(f"Starting ChaosExperiment {found.key} for {here.target_name}"),),
        wake=here.now,
    )


def _missing(here: Situation, name: str) -> Held:
    return Held(
        message=f"Halt {here.name} advancement there is no ChaosExperiment {name}",
        refusal=Refusal.CHAOS,
        remedy="spec.analysis.chaos: create it in the Canary's namespace, or correct the name",
    )
