"""Faults of a VirtualService's rule to the model's; where no share is given all requests are meant, as Istio says."""

from __future__ import annotations

from rollout.api.istio.http import FaultAbort, FaultDelay, HTTPFaultInjection
from rollout.mesh.ingest.matches import Fault as Wrong
from rollout.mesh.model import routing as ir

_LEAST, _MOST = 200, 599
_GRPC = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def fault_of(given: HTTPFaultInjection) -> ir.Fault | Wrong:
    """The faults, or why they cannot be made."""
    delay = abort = None
    if given.delay is not None:
        if given.delay.fixed_delay is None:
            return Wrong(".delay.fixedDelay", "is missing", "say for how long requests wait")
        delay = ir.Delay(given.delay.fixed_delay.total_seconds(), _percent(given.delay))
    if given.abort is not None:
        found = _abort(given.abort)
        if isinstance(found, Wrong):
            return found
        abort = found
    return ir.Fault(delay=delay, abort=abort)


def _abort(given: FaultAbort) -> ir.Abort | Wrong:
    percent = _percent(given)
    if given.grpc_status is not None:
        name = given.grpc_status.upper()
        if name not in _GRPC:
            reason = f"{given.grpc_status!r} is not a gRPC status"
            return Wrong(".abort.grpcStatus", reason, "write a name such as UNAVAILABLE")
        return ir.Abort(percent, grpc=_GRPC.index(name))
    if given.http_status is None:
        return Wrong(".abort.httpStatus", "is missing", "say which status requests get")
    if not _LEAST <= given.http_status <= _MOST:
        reason = f"{given.http_status} is not a status that a request can get"
        return Wrong(".abort.httpStatus", reason, f"give a number from {_LEAST} to {_MOST}")
    return ir.Abort(percent, http=given.http_status)


def _percent(given: FaultDelay | FaultAbort) -> float:
    if given.percentage is not None:
        return given.percentage.value
    return 100.0 if given.percent is None else float(given.percent)
