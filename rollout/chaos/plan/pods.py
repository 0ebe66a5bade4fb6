"""Which pods of a target are killed. Pure; the run's name stands for chance, so that the choice can be repeated."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

from rollout.api.chaos import PodKill
from rollout.kube.objects import Object, is_deleting


def chosen(kill: PodKill, pods: Iterable[Object], run_id: str) -> list[Object]:
    """The pods to kill, of those that run and are not on their way out: those first that take requests."""
    alive = [pod for pod in pods if not is_deleting(pod) and _runs(pod)]
    alive.sort(key=lambda pod: (not _is_ready(pod), _lot(run_id, str(pod["metadata"]["name"]))))
    counts = {
        "one": 1,
        "all": len(alive),
        "fixed": kill.number,
        "fixed-percent": math.ceil(len(alive) * kill.number / 100),
    }
    return alive[: counts[kill.mode]]


def _runs(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Running", "Pending"}


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _lot(run_id: str, name: str) -> str:
    return hashlib.sha256(f"{run_id}/{name}".encode()).hexdigest()
