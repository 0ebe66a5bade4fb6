"""Retries: Istio's default and what a route says. Attempts after the first go to another endpoint."""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from rollout.mesh.model.routing import Retries
from rollout.mesh.translate.resource import pack
from rollout.mesh.translate.timeouts import duration

DEFAULT = Retries(
    attempts=2,
    on="connect-failure,refused-stream,unavailable,cancelled,reset-before-request,retriable-status-codes",
    status_codes=(503,),
)
"""Istio's: two more attempts on what certainly was not processed, and on 503."""

_BASE = duration_pb2.Duration(nanos=25_000_000)
_HOST_ATTEMPTS = 5


def retry_policy(retries: Retries) -> Any:
    """Envoy's policy; without attempts an empty one, which switches the virtual host's default off."""
    policy = rc.RetryPolicy()
    if not retries.attempts:
        return policy
    policy.retry_on = retries.on
    policy.num_retries.CopyFrom(wrappers_pb2.UInt32Value(value=retries.attempts))
    policy.retriable_status_codes.extend(retries.status_codes)
    backoff = _BASE if retries.backoff is None else duration(retries.backoff)
    policy.retry_back_off.base_interval.CopyFrom(backoff)
    policy.host_selection_retry_max_attempts = _HOST_ATTEMPTS
    if retries.other_hosts:
        policy.retry_host_predicate.append(
            rc.RetryPolicy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=pack(previous_hosts_pb2.PreviousHostsPredicate()),
            )
        )
    if retries.remote:
        farther = previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=2)
        policy.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        policy.retry_priority.typed_config.CopyFrom(pack(farther))
    if retries.per_try_timeout is not None:
        policy.per_try_timeout.CopyFrom(duration(retries.per_try_timeout))
    return policy
