"""Which namespace `kubectl` would use: the context's, the pod's own, or `default`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def default_namespace(kubeconfig: str | None = None, context: str | None = None) -> str:
    """The namespace of the context; unreadable files count as absent, since connecting will say so better."""
    named = kubeconfig or os.environ.get("KUBECONFIG")
    if named is None and context is None and _IN_POD.is_file():
        return _IN_POD.read_text().strip() or "default"
    contexts: dict[str, Any] = {}
    current = context
    for part in (named or "~/.kube/config").split(os.pathsep):
        config = _read(Path(part).expanduser()) if part else {}
        current = current or config.get("current-context")
        for each in config.get("contexts") or ():
            contexts.setdefault(each.get("name"), each.get("context") or {})
    return str(contexts.get(current or "", {}).get("namespace") or "default")


def _read(path: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return read if isinstance(read, dict) else {}
