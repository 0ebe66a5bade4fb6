"""The Canary itself: what is delivered, to whom, and how it is judged; with the names and defaults that follow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from rollout.api import kinds
from rollout.api.canary.analysis import Analysis
from rollout.api.canary.refs import (
    ROUTE_GROUPS,
    AutoscalerRef,
    IngressRef,
    RouteRef,
    TargetRef,
    UpstreamRef,
)
from rollout.api.canary.service import CanaryService
from rollout.api.canary.status import CanaryStatus
from rollout.api.fields import Count, HttpUrl
from rollout.api.model import Bool, Model, Problem, Resource

Provider = Literal[
    "apisix",
    "appmesh",
    "appmesh:v1beta2",
    "contour",
    "gatewayapi:v1",
    "gatewayapi:v1beta1",
    "gloo",
    "istio",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
]

_SERVICE_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_LONGEST_SERVICE_NAME = 63 - len("-primary")
_LONGEST_WITH_BASELINE = 63 - len("-baseline")


class CanarySpec(Model):
    """What is delivered, to whom, and how it is judged."""

    provider: Provider | None = None
    """What routes the traffic; the controller's -mesh-provider where unset."""
    metrics_server: HttpUrl | None = None
    """The Prometheus that is asked; the controller's -metrics-server where unset."""
    target_ref: TargetRef
    """The workload that is delivered."""
    autoscaler_ref: AutoscalerRef | None = None
    """The target's scaler."""
    ingress_ref: IngressRef | None = None
    """The target's Ingress (nginx, skipper)."""
    route_ref: RouteRef | None = None
    """A route that exists, in which only weights are set."""
    upstream_ref: UpstreamRef | None = None
    """The target's upstream (Gloo)."""
    service: CanaryService | None = None
    """The services and routes that are generated."""
    analysis: Analysis
    """How the canary is judged and how its traffic grows."""
    progress_deadline_seconds: Count | None = None
    """Seconds for a revision to become ready; 600 where unset."""
    skip_analysis: Bool = False
    """Whether revisions are promoted as soon as they are ready."""
    revert_on_deletion: Bool = False
    """Whether deleting the canary gives the target its traffic back."""
    suspend: Bool = False
    """Whether nothing is done."""

    def problems(self) -> Iterator[Problem]:
        """A service that is missing or cannot be named, a Gateway API route without a gateway."""
        if self.service is None and not (self.provider == "knative" or self.analysis.replica_ratio):
            yield Problem("service", "is required", "add it, with its port")
        named = self.service is not None and self.service.name is not None
        field = "service.name" if named else "targetRef.name"
        if not _SERVICE_NAME.fullmatch(self.service_name):
            yield Problem(
                field,
                f"{self.service_name!r} cannot name a Service",
                "set service.name to lower-case letters, digits and hyphens",
            )
        elif len(self.service_name) > _LONGEST_SERVICE_NAME:
            yield Problem(
                field,
                f"{self.service_name!r} with -primary is longer than 63 characters",
                f"set service.name to at most {_LONGEST_SERVICE_NAME}",
            )
        if (
            (self.provider or "").startswith("gatewayapi")
            and self.route_ref is None
            and not (self.service and self.service.gateway_refs)
        ):
            yield Problem("service.gatewayRefs", f"is required by {self.provider}", "add it")
        yield from self._weights_only_problems()
        if self.fresh_baseline:
            yield from self._baseline_problems()

    def _baseline_problems(self) -> Iterator[Problem]:
        """What a fresh baseline cannot be made of, or cannot get requests from."""
        field = "analysis.judge.baseline"
        if self.target_ref.kind != "Deployment":
            reason = f"'fresh' is for Deployments, not for a {self.target_ref.kind}"
            yield Problem(field, reason, "use primary")
        if self.route_ref is not None:
            reason = (
                "'fresh' excludes routeRef: of that route, only the weights of two services are set"
            )
            yield Problem(field, reason, "use primary, or let the route be generated")
        if len(self.service_name) > _LONGEST_WITH_BASELINE:
            reason = f"{self.service_name!r} with -baseline is longer than 63 characters"
            remedy = f"set service.name to at most {_LONGEST_WITH_BASELINE}, or use primary"
            yield Problem(field, reason, remedy)

    @property
    def fresh_baseline(self) -> bool:
        """Whether the canary is compared with fresh pods of the primary's version."""
        judge = self.analysis.judge
        return judge is not None and judge.baseline == "fresh" and not self.skip_analysis

    def _weights_only_problems(self) -> Iterator[Problem]:
        """What cannot be had where there is nothing but weights."""
        ratio = self.analysis.replica_ratio
        if ratio and self.provider not in (None, "kubernetes"):
            reason = f"is not for provider {self.provider}"
            yield Problem("analysis.replicaRatio", reason, "use provider kubernetes")
        weights_only = self.route_ref is not None and self.route_ref.kind in ROUTE_GROUPS
        if ratio and weights_only:
            yield Problem("routeRef", "excludes analysis.replicaRatio", "remove one of them")
        if ratio and self.autoscaler_ref:
            reason = "excludes analysis.replicaRatio: both would set the replicas"
            yield Problem("autoscalerRef", reason, "remove one of them")
        if weights_only or ratio:
            field = "analysis.replicaRatio" if ratio else "routeRef"
            for name in ("match", "mirror", "session_affinity"):
                if getattr(self.analysis, name):
                    path = f"analysis.{to_camel(name)}"
                    yield Problem(path, f"excludes {field}", "remove one of them")
        if ratio and self.analysis.iterations:
            yield Problem("analysis.iterations", "excludes analysis.replicaRatio", "use stepWeight")

    @property
    def service_name(self) -> str:
        """Name of the service that callers use."""
        return (self.service.name if self.service else None) or self.target_ref.name


class Canary(Resource):
    """A delivery that is watched: a new revision gets traffic in steps, and is promoted or rolled back."""

    KIND = kinds.CANARY

    spec: CanarySpec
    """What the user wants."""
    status: CanaryStatus = Field(default_factory=CanaryStatus)
    """What was observed and done."""

    @property
    def apex_name(self) -> str:
        """The service that callers use, and the route's name."""
        return self.spec.service_name

    @property
    def primary_service_name(self) -> str:
        """The service of the version that was promoted last."""
        return f"{self.apex_name}-primary"

    @property
    def canary_service_name(self) -> str:
        """The service of the version that is judged."""
        return f"{self.apex_name}-canary"

    @property
    def target_name(self) -> str:
        """The workload that the user changes, which is the canary."""
        return self.spec.target_ref.name

    @property
    def primary_name(self) -> str:
        """The workload that is generated and serves between two runs."""
        return f"{self.target_name}-primary"

    @property
    def baseline_name(self) -> str:
        """The workload with fresh pods of the primary's version, which is there while the canary is compared with it."""
        return f"{self.target_name}-baseline"

    @property
    def service(self) -> CanaryService:
        """Its services' shape; port 80 where the provider needs none."""
        return self.spec.service or CanaryService(port=80)

    @property
    def threshold(self) -> int:
        """Failed checks after which it is rolled back; at least 1."""
        return max(1, self.spec.analysis.threshold)

    @property
    def max_weight(self) -> int:
        """Share in percent at which it is promoted: `maxWeight`, or the last of the steps."""
        if steps := self.spec.analysis.step_weights:
            return min(100, steps[-1])
        return self.spec.analysis.max_weight or 100

    @property
    def steps(self) -> tuple[int, ...]:
        """The canary's shares in percent, one after the other; empty where it has no weights."""
        analysis = self.spec.analysis
        if analysis.step_weights:
            return analysis.step_weights
        if not (step := analysis.step_weight):
            return ()
        return (*range(step, self.max_weight, step), min(100, -(-self.max_weight // step) * step))

    @property
    def progress_deadline(self) -> timedelta:
        """Time for a revision to become ready."""
        seconds = self.spec.progress_deadline_seconds
        return timedelta(seconds=600 if seconds is None else seconds)

    def interval(self, minimum: timedelta = timedelta(seconds=10)) -> timedelta:
        """Time between two checks, raised to the controller's minimum (Flagger's is 10 seconds)."""
        return max(minimum, self.spec.analysis.interval)
