"""Which other origins' pages may call: the policy of a route; the filter is in the table of filters."""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.routing import Cors
from rollout.mesh.translate.matches import string_matcher

FILTER = "envoy.filters.http.cors"


def cors_policy(cors: Cors) -> Any:
    """Envoy's policy, for a route's `typed_per_filter_config`."""
    policy = cors_pb2.CorsPolicy(
        allow_origin_string_match=[string_matcher(origin) for origin in cors.origins],
        allow_methods=",".join(cors.methods),
        allow_headers=",".join(cors.headers),
        expose_headers=",".join(cors.expose),
    )
    if cors.max_age is not None:
        policy.max_age = str(int(cors.max_age))
    if cors.credentials is not None:
        policy.allow_credentials.CopyFrom(wrappers_pb2.BoolValue(value=cors.credentials))
    if cors.forward is not None:
        policy.forward_not_matching_preflights.CopyFrom(wrappers_pb2.BoolValue(value=cors.forward))
    return policy
