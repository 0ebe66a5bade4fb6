"""What is wrong with routing objects, said on their status in Istio's shape.

Only objects with a problem are written to, once for each change of it, and once more when it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from rollout.api.kinds import (
    DESTINATION_RULE,
    GATEWAY,
    PEER_AUTHENTICATION,
    SERVICE_ENTRY,
    SIDECAR,
    TELEMETRY,
    VIRTUAL_SERVICE,
    WORKLOAD_ENTRY,
    Kind,
)
from rollout.kube.errors import KubeError
from rollout.kube.fence import FencedWriter
from rollout.kube.objects import Object
from rollout.kube.store import Store
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.settling import Settling

log = structlog.get_logger(__name__)

KINDS: dict[str, Kind] = {
    kind.kind: kind
    for kind in (
        VIRTUAL_SERVICE,
        DESTINATION_RULE,
        GATEWAY,
        SERVICE_ENTRY,
        WORKLOAD_ENTRY,
        SIDECAR,
        PEER_AUTHENTICATION,
        TELEMETRY,
    )
}
_CONDITION = "Reconciled"
Problems = Mapping[Ref, tuple[Problem, ...]]


def desired_status(obj: Object, problems: tuple[Problem, ...], now: str) -> Object | None:
    """The whole status to write; None where the one that is there says the same."""
    current: Mapping[str, Any] = obj.get("status") or {}
    conditions = list(current.get("conditions") or ())
    old: Mapping[str, Any] | None = next(
        (each for each in conditions if each.get("type") == _CONDITION), None
    )
    if not problems and (old is None or old.get("status") == "True"):
        return None
    status = "False" if problems else "True"
    message = "; ".join(f"{p.field}: {p.reason} ({p.remedy})" for p in problems)
    generation = obj["metadata"].get("generation", 0)
    condition = {
        "type": _CONDITION,
        "status": status,
        "reason": "Problems" if problems else "Reconciled",
        "message": message[:1024],
        "observedGeneration": generation,
    }
    if old is not None and {k: v for k, v in old.items() if k != "lastTransitionTime"} == condition:
        return None
    changed = old is None or old.get("status") != status
    condition["lastTransitionTime"] = now if changed or old is None else old["lastTransitionTime"]
    others = [each for each in conditions if each.get("type") != _CONDITION]
    return {
        **current,
        "observedGeneration": generation,
        "conditions": [*others, condition],
        "validationMessages": [
            {"type": {"name": "Refused"}, "level": "ERROR", "fieldPath": p.field, "message": str(p)}
            for p in problems
        ],
    }


class StatusKeeper:
    """Writes statuses some moments after `trigger`; `problems` is asked then."""

    def __init__(
        self, writer: FencedWriter, stores: Mapping[str, Store], problems: Callable[[], Problems]
    ) -> None:
        self._writer, self._stores, self._problems = writer, stores, problems
        self._settling = Settling(self._write_all, ours=lambda: writer.holds(""))

    def trigger(self) -> None:
        """Problems may have changed."""
        self._settling.trigger()

    async def run(self) -> None:
        """Writes until cancelled."""
        await self._settling.run()

    async def _write_all(self) -> bool:
        problems = self._problems()
        fine = True
        for kind, store in self._stores.items():
            for obj in store.list():
                metadata = obj["metadata"]
                ref = Ref(kind, metadata["namespace"], metadata["name"])
                fine &= await self._write(ref, obj, problems.get(ref, ()))
        return fine

    async def _write(self, ref: Ref, obj: Object, problems: tuple[Problem, ...]) -> bool:
        status = desired_status(obj, problems, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if status is None:
            return True
        for problem in problems:
            log.warning("problem", object=str(ref), field=problem.field, reason=problem.reason)
        try:
            await self._writer.patch_status(KINDS[ref.kind], obj, status)
        except KubeError as error:
            log.warning("status not written", object=str(ref), error=str(error))
            return False
        return True
