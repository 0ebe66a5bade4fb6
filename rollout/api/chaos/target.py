"""Whom a ChaosExperiment is about, and how far it may go (`spec.target`, `spec.blastRadius`). Knows no fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from rollout.api.fields import Count, Name, PercentFraction
from rollout.api.model import Model, Problem, StrMap

TOLD_UPSTREAM: Final = (
    "app",
    "version",
    "service.istio.io/canonical-name",
    "service.istio.io/canonical-revision",
)
"""Labels of a caller that the proxy of the service is told, so that layer upstream can tell callers apart by them."""

Arm = Literal["canary", "primary", "all"]


class Callers(Model):
    """Whose requests are faulted."""

    label_selectors: StrMap = Field(default_factory=dict)
    """Labels that the calling pods carry, all of them."""
    namespaces: tuple[Name, ...] = ()
    """Namespaces of the calling pods, any of them; every namespace where empty."""


class Target(Model):
    """The service that an experiment is about."""

    service: Name
    """Name of the Kubernetes Service."""
    namespace: Name | None = None
    """Its namespace; the experiment's where unset. It must have opted in, as the experiment's must."""
    arm: Arm = "all"
    """Which of its versions: `primary` and `canary` are those of a Canary whose service has this name."""
    from_: Callers | None = Field(default=None, alias="from")
    """Only requests of these callers; everybody's where unset."""

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the Services behind which the target's pods stand, as Flagger generates them."""
        return (self.service,) if self.arm == "all" else (f"{self.service}-{self.arm}",)


class BlastRadius(Model):
    """How much may be broken at once."""

    max_traffic_percent: PercentFraction = 100.0
    """Largest share of the requests that the fault may ask for."""
    max_concurrent: Annotated[Count, Field(json_schema_extra={"minimum": 1})] = 1
    """How many experiments may run in the target's namespace at once, this one included."""

    def problems(self) -> Iterator[Problem]:
        """A limit that nothing can meet."""
        if self.max_concurrent < 1:
            yield Problem("maxConcurrent", "is 0, so it could never run", "give at least 1")
