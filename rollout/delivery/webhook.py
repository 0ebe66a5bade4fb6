"""Says no to resources that cannot work before they are stored, with every reason at once.

What is valid is said by `rollout.api`; the controller looks again when it acts, since a webhook may have been away.
"""

from __future__ import annotations

from datetime import timedelta

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import ISTIO, Canary, notices, unsupported
from rollout.api.errors import InvalidObject
from rollout.api.metrictemplate import MetricTemplate
from rollout.api.model import Resource
from rollout.kube.admission import AdmissionResponse
from rollout.kube.objects import Object, is_deleting

_REFUSED = frozenset({"spec.provider", "spec.routeRef.kind"})
"""Fields without which a canary's traffic cannot be moved at all."""
_KINDS: dict[str, type[Resource]] = {
    model.KIND.kind: model for model in (Canary, MetricTemplate, AlertProvider)
}


async def validate(
    request: Object, minimum_interval: timedelta, mesh_provider: str = ISTIO
) -> AdmissionResponse:
    """Review one AdmissionReview request about a kind of `flagger.app`."""
    obj, old = request.get("object") or {}, request.get("oldObject") or {}
    model = _KINDS.get((request.get("kind") or {}).get("kind", ""))
    if model is None or is_deleting(obj) or (old and old.get("spec") == obj.get("spec")):
        # What is stored already must stay free to lose finalizers and to gain labels.
        return AdmissionResponse()
    try:
        parsed = model.parse({k: v for k, v in obj.items() if k != "status"})
    except InvalidObject as error:
        return AdmissionResponse(allowed=False, message=str(error))
    if not isinstance(parsed, Canary):
        return AdmissionResponse()
    ignored = unsupported(parsed, mesh_provider)
    refused = tuple(error for error in ignored if error.path in _REFUSED)
    if refused:
        name = obj.get("metadata") or {}
        refusal = InvalidObject("Canary", name.get("namespace", ""), name.get("name", ""), refused)
        return AdmissionResponse(allowed=False, message=str(refusal))
    said = (*notices(parsed, minimum_interval), *ignored)
    return AdmissionResponse(warnings=tuple(map(str, said)))
