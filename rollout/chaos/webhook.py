"""Says no to experiments that cannot work before they are stored, and to changes of reports; with every reason at once.

What is valid is said by `rollout.api` and the schedule's arithmetic; the controller looks again when it acts.
"""

from __future__ import annotations

from rollout.api.chaos import ChaosExperiment
from rollout.api.errors import FieldError, InvalidObject
from rollout.chaos.plan.gates import is_protected
from rollout.chaos.plan.schedule import problems
from rollout.kube.admission import AdmissionResponse
from rollout.kube.objects import Object, is_deleting


async def validate(request: Object, system_namespace: str) -> AdmissionResponse:
    """Review one AdmissionReview request about a ChaosExperiment."""
    obj, old = request.get("object") or {}, request.get("oldObject") or {}
    if is_deleting(obj) or (old and old.get("spec") == obj.get("spec")):
        # What is stored already must stay free to lose finalizers and to gain annotations.
        return AdmissionResponse()
    try:
        parsed = ChaosExperiment.parse({k: v for k, v in obj.items() if k != "status"})
    except InvalidObject as error:
        return AdmissionResponse(allowed=False, message=str(error))
    errors = list(problems(parsed.spec.schedule)) if parsed.spec.schedule else []
    for path, name in (
        ("metadata.namespace", parsed.namespace),
        ("spec.target.namespace", parsed.target_namespace),
    ):
        if is_protected(name, system_namespace):
            errors.append(
                FieldError(path, f"{name} belongs to the system", "break something of your own")
            )
    if errors:
        refused = InvalidObject("ChaosExperiment", parsed.namespace, parsed.name, tuple(errors))
        return AdmissionResponse(allowed=False, message=str(refused))
    return AdmissionResponse()
