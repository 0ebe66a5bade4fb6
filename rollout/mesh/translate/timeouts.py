"""How long a request may take: for ever, unless its route says otherwise."""

from __future__ import annotations

from typing import Any

from google.protobuf import duration_pb2

from rollout.mesh.model.routing import Route


def duration(seconds: float) -> Any:
    """Protobuf's duration, to the microsecond."""
    micros = round(seconds * 1_000_000)
    return duration_pb2.Duration(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def apply_timeout(action: Any, route: Route) -> None:
    """Zero switches Envoy's own default of 15 s off."""
    action.timeout.CopyFrom(duration(route.timeout or 0))
