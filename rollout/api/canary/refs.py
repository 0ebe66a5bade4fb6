"""What a Canary refers to: its target, and whatever else of the cluster is about that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import Name
from rollout.api.model import Int, Model, Problem, Str


class TargetRef(Model):
    """The workload that is delivered."""

    api_version: Str
    """Its API version."""
    kind: Literal["DaemonSet", "Deployment", "Service", "StatefulSet"]
    """Its kind."""
    name: Name
    """Its name."""


class ScalerReplicas(Model):
    """Bounds of the primary's replicas."""

    min_replicas: Int | None = Field(default=None, json_schema_extra={"minimum": 1})
    """Least replicas."""
    max_replicas: Int | None = Field(default=None, json_schema_extra={"minimum": 1})
    """Most replicas."""

    def problems(self) -> Iterator[Problem]:
        """Bounds below 1, or the wrong way round."""
        for name, value in (("minReplicas", self.min_replicas), ("maxReplicas", self.max_replicas)):
            if value is not None and value < 1:
                yield Problem(name, f"is {value}", "give 1 or more")
        if self.min_replicas and self.max_replicas and self.min_replicas > self.max_replicas:
            yield Problem("", "minReplicas is above maxReplicas", "swap them")


class AutoscalerRef(Model):
    """The target's scaler."""

    api_version: Str
    """Its API version."""
    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"]
    """Its kind."""
    name: Name
    """Its name."""
    primary_scaler_queries: Mapping[str, Str] = Field(default_factory=dict)
    """Queries of the primary's ScaledObject, by trigger."""
    primary_scaler_replicas: ScalerReplicas | None = None
    """Bounds of the primary's replicas."""


class IngressRef(Model):
    """The Ingress of the target."""

    api_version: Str
    """Its API version."""
    kind: Literal["Ingress"]
    """Its kind."""
    name: Name
    """Its name."""


ROUTE_GROUPS: Mapping[str, str] = {
    each.kind: each.group for each in (kinds.VIRTUAL_SERVICE, kinds.HTTP_ROUTE, kinds.GRPC_ROUTE)
}
"""The kinds of routes that `routeRef` may name and that are acted upon, with their groups."""


class RouteRef(Model):
    """A route of somebody else's, in which only the weights of the primary's and the canary's service are set."""

    api_version: Str
    """Its API version."""
    kind: Literal["ApisixRoute", "GRPCRoute", "HTTPRoute", "VirtualService"]
    """Its kind."""
    name: Name
    """Its name."""

    def problems(self) -> Iterator[Problem]:
        """A kind of another group."""
        group = ROUTE_GROUPS.get(self.kind)
        if group is not None and self.api_version.partition("/")[0] != group:
            reason = f"{self.api_version!r} has no {self.kind}"
            yield Problem("apiVersion", reason, f"use {group}/v1")


class UpstreamRef(Model):
    """The Gloo upstream of the target."""

    api_version: Str
    """Its API version."""
    kind: Literal["Upstream"]
    """Its kind."""
    name: Name
    """Its name."""
    namespace: Str | None = None
    """Its namespace."""
