"""Copies of requests to other destinations, Host suffixed `-shadow` by Envoy; their answers are thrown away."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.routing import Mirror
from rollout.mesh.translate.weights import ClusterOf

_MILLION = 10_000


def mirror_policies(mirrors: tuple[Mirror, ...], cluster_of: ClusterOf) -> list[Any]:
    """One policy for each mirror with a share above zero."""
    return [
        rc.RouteAction.RequestMirrorPolicy(
            cluster=cluster_of(mirror.destination),
            runtime_fraction=base_pb2.RuntimeFractionalPercent(
                default_value=percent_pb2.FractionalPercent(
                    numerator=round(mirror.percent * _MILLION),
                    denominator=percent_pb2.FractionalPercent.MILLION,
                )
            ),
            trace_sampled=wrappers_pb2.BoolValue(value=False),
        )
        for mirror in mirrors
        if mirror.percent > 0
    ]
