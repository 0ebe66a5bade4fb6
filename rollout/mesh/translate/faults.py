"""Faults made on purpose: the policy of a route; the filter is in the table of filters."""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.type.v3 import percent_pb2

from rollout.mesh.model.routing import Fault
from rollout.mesh.translate.timeouts import duration

FILTER = "envoy.filters.http.fault"
_MILLION = 10_000


def fault_policy(fault: Fault) -> Any:
    """Envoy's policy, for a route's `typed_per_filter_config`."""
    policy = fault_pb2.HTTPFault()
    if fault.delay is not None:
        policy.delay.CopyFrom(
            common_pb2.FaultDelay(
                fixed_delay=duration(fault.delay.seconds), percentage=share(fault.delay.percent)
            )
        )
    if fault.abort is not None:
        policy.abort.percentage.CopyFrom(share(fault.abort.percent))
        if fault.abort.grpc is not None:
            policy.abort.grpc_status = fault.abort.grpc
        else:
            policy.abort.http_status = fault.abort.http
    return policy


def share(percent: float) -> Any:
    """A percentage as Envoy's fraction, to a millionth."""
    return percent_pb2.FractionalPercent(
        numerator=round(percent * _MILLION), denominator=percent_pb2.FractionalPercent.MILLION
    )
