"""What a pod asks of its own proxy in Istio's annotation `proxy.istio.io/config`, as far as it is followed here.

Pure. What is not followed is told to whoever made the pod, never passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from rollout.mesh.agent.settings import CERTIFICATE_TTL, SettingsError, seconds_of

Json = dict[str, Any]

ANNOTATION = "proxy.istio.io/config"
_VARIABLES = "proxyMetadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Variables of the proxy's container, and what is not followed, in sentences."""

    variables: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def env(self) -> list[Json]:
        """As a container has them."""
        return [{"name": name, "value": value} for name, value in self.variables]


def proxy_config(annotations: Json) -> ProxyConfig:
    """Of a pod with these annotations."""
    text = annotations.get(ANNOTATION)
    if not text:
        return ProxyConfig()
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return _unfollowed(f"is not YAML: {str(error).splitlines()[0]}")
    variables = found.get(_VARIABLES) or {} if isinstance(found, dict) else None
    if not isinstance(variables, dict):
        return _unfollowed(f"is no mapping, or its {_VARIABLES} is none")
    others = [str(name) for name in found if name != _VARIABLES]
    others += [f"{_VARIABLES}.{name}" for name in variables if name != CERTIFICATE_TTL]
    ignored = f"{ANNOTATION}: {', '.join(sorted(others))} is not followed by this mesh; remove it"
    warnings = (ignored,) if others else ()
    if CERTIFICATE_TTL not in variables:
        return ProxyConfig(warnings=warnings)
    value = str(variables[CERTIFICATE_TTL])
    try:
        seconds_of(CERTIFICATE_TTL, value)
    except SettingsError as error:
        wrong = f"{ANNOTATION}: {_VARIABLES}.{error}; the usual one is used"
        return ProxyConfig(warnings=(*warnings, wrong))
    return ProxyConfig(variables=((CERTIFICATE_TTL, value),), warnings=warnings)


def _unfollowed(reason: str) -> ProxyConfig:
    return ProxyConfig(warnings=(f"{ANNOTATION} {reason}; nothing of it is followed: correct it",))
