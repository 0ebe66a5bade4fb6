"""What a pod asks of its own proxy in Istio's single annotations: how much it may use, how much it says.

Pure. What is not followed is told to whoever made the pod, never passed over.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from rollout.mesh.inject.config import InjectionConfig

Json = dict[str, Any]

_PREFIXES = ("sidecar.istio.io/", "traffic.sidecar.istio.io/")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_LEVEL = re.compile(r"trace|debug|info|warning|error|critical|off")
_FIELDS = {
    "sidecar.istio.io/proxyCPU": ("cpu_request", _QUANTITY),
    "sidecar.istio.io/proxyMemory": ("memory_request", _QUANTITY),
    "sidecar.istio.io/proxyCPULimit": ("cpu_limit", _QUANTITY),
    "sidecar.istio.io/proxyMemoryLimit": ("memory_limit", _QUANTITY),
    "sidecar.istio.io/logLevel": ("log_level", _LEVEL),
}
_ELSEWHERE = frozenset(
    {f"sidecar.istio.io/{name}" for name in (
        "inject", "status", "statsInclusionPrefixes", "rewriteAppHTTPProbers"
    )}
    | {f"traffic.sidecar.istio.io/{name}" for name in (
        "excludeInboundPorts", "excludeOutboundPorts", "excludeOutboundIPRanges",
        "includeInboundPorts", "includeOutboundPorts", "includeOutboundIPRanges",
    )}
)  # fmt: skip
"""Followed by others of this room."""


def tailored(config: InjectionConfig, annotations: Json) -> InjectionConfig:
    """The configuration of one pod's proxy; what makes no sense is as if it were not there."""
    asked = {
        field: str(annotations[name])
        for name, (field, form) in _FIELDS.items()
        if name in annotations and form.fullmatch(str(annotations[name]))
    }
    return replace(config, **asked)  # type: ignore[arg-type]


def warnings(annotations: Json) -> tuple[str, ...]:
    """What is not followed, in sentences."""
    found = []
    for name in sorted(annotations):
        if not name.startswith(_PREFIXES) or name in _ELSEWHERE:
            continue
        if name not in _FIELDS:
            found.append(f"{name} is not followed by this mesh; remove it")
        elif not _FIELDS[name][1].fullmatch(str(annotations[name])):
            found.append(f"{name}: {annotations[name]!r} makes no sense, the usual one is used")
    return tuple(found)
