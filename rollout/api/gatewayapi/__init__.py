"""The Gateway API kinds that the mesh acts upon: `gateway.networking.k8s.io`, as the standard channel of v1.4 has them.

What the API server's schema refuses is not looked at again; fields that this program does not know are kept and
reported (`unknown_fields`), never refused.
"""

from rollout.api.gatewayapi.gateway import Gateway, GatewayClass, GatewaySpec, Listener
from rollout.api.gatewayapi.httproute import HTTPRoute, HTTPRouteRule
from rollout.api.gatewayapi.referencegrant import ReferenceGrant
from rollout.api.gatewayapi.references import BackendRef, ObjectReference, ParentReference

__all__ = [
    "BackendRef",
    "Gateway",
    "GatewayClass",
    "GatewaySpec",
    "HTTPRoute",
    "HTTPRouteRule",
    "Listener",
    "ObjectReference",
    "ParentReference",
    "ReferenceGrant",
]
