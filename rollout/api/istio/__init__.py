"""The Istio kinds that the mesh acts upon and canaries write: `networking.istio.io` v1, v1beta1 and v1alpha3.

Fields of Istio's that this program does not know are kept and reported (`unknown_fields`), never refused; what Istio
itself refuses is refused.
"""

from rollout.api.istio.destinationrule import DestinationRule, DestinationRuleSpec, TrafficPolicy
from rollout.api.istio.gateway import Gateway, GatewaySpec, Server
from rollout.api.istio.http import HTTPMatchRequest, HTTPRoute, StringMatch
from rollout.api.istio.serviceentry import ServiceEntry, ServiceEntrySpec
from rollout.api.istio.sidecar import Sidecar, SidecarSpec
from rollout.api.istio.virtualservice import VirtualService, VirtualServiceSpec
from rollout.api.istio.workloadentry import WorkloadEntry

__all__ = [
    "DestinationRule",
    "DestinationRuleSpec",
    "Gateway",
    "GatewaySpec",
    "HTTPMatchRequest",
    "HTTPRoute",
    "Server",
    "ServiceEntry",
    "ServiceEntrySpec",
    "Sidecar",
    "SidecarSpec",
    "StringMatch",
    "TrafficPolicy",
    "VirtualService",
    "VirtualServiceSpec",
    "WorkloadEntry",
]
