"""WorkloadEntry: one endpoint that is no pod, such as a virtual machine, for the services that select its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import Count, Port
from rollout.api.istio.virtualservice import ISTIO_VERSIONS
from rollout.api.model import Model, Problem, Resource, Str, StrMap


class Endpoint(Model):
    """One endpoint."""

    address: Str | None = None
    """An address, or a name that the DNS resolves."""
    ports: Mapping[str, Port] = Field(default_factory=dict)
    """The endpoint's own ports by the name of the service's."""
    labels: StrMap = Field(default_factory=dict)
    """Labels, by which services and subsets choose."""
    network: Str | None = None
    """The network that it is in."""
    locality: Str | None = None
    """Where it is: region/zone/subzone."""
    weight: Count | None = None
    """Its share of the requests."""
    service_account: Str | None = None
    """The account that it runs as, by which it is known where it takes mutual TLS."""


class WorkloadEntrySpec(Endpoint):
    """One endpoint of the services of its namespace that select its labels."""

    def problems(self) -> Iterator[Problem]:
        """Nothing that could be reached."""
        if not self.address:
            yield Problem("address", "is missing", "give the workload's address")


class WorkloadEntry(Resource):
    """One endpoint that is no pod."""

    KIND = kinds.WORKLOAD_ENTRY
    SERVED_VERSIONS: ClassVar = ISTIO_VERSIONS
    REFUSES_UNKNOWN = False

    spec: WorkloadEntrySpec
    """What the user wants."""
