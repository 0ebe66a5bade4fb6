"""The injector's admission handler: a review's request in, a JSON patch out.

Must not know how reviews are served, nor fail: what it cannot read the API server refuses by itself.
"""

from __future__ import annotations

from rollout.kube.admission import AdmissionResponse, Handler
from rollout.kube.objects import Object
from rollout.mesh.inject import annotations as annotations_
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.inject import inject
from rollout.mesh.inject.proxyconfig import proxy_config

PATH = "/inject"


def handlers(config: InjectionConfig) -> dict[str, Handler]:
    """The routes of the injector."""

    async def review(request: Object) -> AdmissionResponse:
        namespace = request.get("namespace") or "default"
        pod = request.get("object") or {}
        patch = inject(pod, namespace, config)
        annotations = pod.get("metadata", {}).get("annotations") or {}
        unfollowed = (*proxy_config(annotations).warnings, *annotations_.warnings(annotations))
        warnings = unfollowed if patch else ()
        return AdmissionResponse(patch=patch, warnings=warnings)

    return {PATH: review}
