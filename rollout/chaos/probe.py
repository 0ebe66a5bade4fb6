"""What a probe answers: the one shape in which everybody who knows something of the steady state says it.

Decisions read these and nothing else of a probe. Knows nothing of how a probe is asked, nor when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from rollout.api.chaos import ChaosExperiment, ProbeSpec

TEST_NAME: Final = "failed-requests"
"""The name under which the sequential test's results stand beside those of probes."""


class ProbeVerdict(StrEnum):
    """What one question found."""

    PASSED = "Passed"
    FAILED = "Failed"
    NO_DATA = "NoData"
    """It was asked and there is nothing yet: neither good nor bad."""
    ERROR = "Error"
    """It could not be asked: treated as no data, and said so."""


class ProbePoint(StrEnum):
    """When in a run a question was asked."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """The answer to one question.

    Attributes:
        name: the probe's.
        point: when in the run it was asked.
        at: when, by the clock.
        verdict: what was found.
        value: what was measured; None where nothing was.
        sentence: the finding as one sentence, with the value and what it had to be.
    """

    name: str
    point: ProbePoint
    at: datetime
    verdict: ProbeVerdict
    value: float | str | None = None
    sentence: str = ""


class Prober(Protocol):
    """Asks probes. One of them serves all experiments."""

    async def ask(
        self, experiment: ChaosExperiment, spec: ProbeSpec, point: ProbePoint
    ) -> ProbeResult:
        """One question, within `runProperties.probeTimeout`; failures to ask are a verdict, never an exception."""
        ...
