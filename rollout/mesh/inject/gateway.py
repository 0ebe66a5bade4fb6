"""Gateways by injection (`inject.istio.io/templates: gateway`): a pod's own container becomes the proxy.

What the user wrote of that container stays, but for the image that is to be found (`auto`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollout.mesh.inject import containers
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.workload import Workload

Json = dict[str, Any]

TEMPLATES = "inject.istio.io/templates"
_AUTO = "auto"
_IMAGE = ("image", "imagePullPolicy")
_NOT_OURS = ("restartPolicy", "lifecycle")


def wanted(annotations: Json) -> bool:
    """Whether a pod is to be a gateway."""
    return annotations.get(TEMPLATES) == "gateway"


def gateway_container(
    written: Json, config: InjectionConfig, workload: Workload, variables: Sequence[Json] = ()
) -> Json:
    """The user's container, completed to a gateway's proxy."""
    made = containers.proxy_container(
        config, workload, app_containers=[], app_probes={}, app_metrics={}, variables=variables
    )
    made = {key: value for key, value in made.items() if key not in _NOT_OURS}
    made["args"] = ["agent", "proxy", "router"]
    own = {key: value for key, value in written.items() if value not in (None, [], {})}
    if own.get("image", _AUTO) == _AUTO:
        # The API server has given `auto`, which has no tag, the policy Always: nobody asked for it.
        own = {key: value for key, value in own.items() if key not in _IMAGE}
    return {
        **made,
        **own,
        **{name: _joined(made, own, name) for name in ("env", "ports", "volumeMounts")},
    }


def _joined(made: Json, own: Json, name: str) -> list[Json]:
    """Both lists; the user's entry where both have one of a name."""
    written = own.get(name) or []
    key = "mountPath" if name == "volumeMounts" else "name"
    taken = {entry.get(key) for entry in written}
    return [*(entry for entry in made.get(name, ()) if entry.get(key) not in taken), *written]
