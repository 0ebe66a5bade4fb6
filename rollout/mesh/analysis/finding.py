"""One thing that an analysis found, under the code by which Istio's users know it. Knows nothing of how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rollout.mesh.model.problem import Ref


class Level(Enum):
    """How bad it is: requests fail or rules are not in force; likely not what was meant; worth knowing."""

    ERROR = "Error"
    WARNING = "Warning"
    INFO = "Info"

    @property
    def rank(self) -> int:
        """The worst is first."""
        return list(Level).index(self)


class Code(Enum):
    """Istio's codes of the messages that are given here: code, level, name."""

    MISSING_REFERENCE = ("IST0101", Level.ERROR, "ReferencedResourceNotFound")
    NOT_INJECTED = ("IST0102", Level.INFO, "NamespaceNotInjected")
    NO_PROXY = ("IST0103", Level.WARNING, "PodMissingProxy")
    GATEWAY_PORT = ("IST0104", Level.WARNING, "GatewayPortNotDefinedOnService")
    INVALID = ("IST0106", Level.ERROR, "SchemaValidationError")
    CONFLICTING_HOSTS = ("IST0109", Level.ERROR, "ConflictingMeshGatewayVirtualServiceHosts")
    PORT_NAME = ("IST0118", Level.INFO, "PortNameIsNotUnderNamingConvention")
    UNREACHABLE_RULE = ("IST0130", Level.WARNING, "VirtualServiceUnreachableRule")
    HOST_NOT_IN_GATEWAY = ("IST0132", Level.WARNING, "VirtualServiceHostNotFoundInGateway")
    CONFLICTING_TELEMETRIES = ("IST0159", Level.ERROR, "ConflictingTelemetryWorkloadSelectors")
    SEVERAL_TELEMETRIES = ("IST0160", Level.ERROR, "MultipleTelemetriesWithoutWorkloadSelectors")

    @property
    def id(self) -> str:
        """`IST0101`."""
        return self.value[0]

    @property
    def level(self) -> Level:
        """How bad it is."""
        return self.value[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with an object, in which field, and what to do."""

    code: Code
    ref: Ref
    reason: str
    remedy: str
    field: str = ""

    @property
    def order(self) -> tuple[int, str, str, str, str]:
        """The worst first, then by code and object."""
        return (self.code.level.rank, self.code.id, str(self.ref), self.field, self.reason)

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return (
            f"{self.code.level.value} [{self.code.id}] ({self.ref}) {where}{self.reason}"
            f" ({self.remedy})"
        )
