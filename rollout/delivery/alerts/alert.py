"""One piece of news about a canary, and who wants to hear it, by Flagger's severities and words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rollout.api.canary import Canary


class Severity(IntEnum):
    """How much news matters; whoever asks for one gets everything from it on."""

    INFO = 1
    WARN = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """As users write it."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str | None) -> Severity:
        """What a canary's alert asks for; nothing means everything."""
        return cls[word.upper()] if word else cls.INFO


@dataclass(frozen=True, slots=True)
class Alert:
    """A sentence for people. `details` is whether the canary's settings go along."""

    message: str
    severity: Severity
    details: bool = False


def fields_of(canary: Canary, *, cluster: str = "") -> tuple[tuple[str, str], ...]:
    """The canary's settings as names and values; `cluster` comes first where it has a name."""
    spec, analysis = canary.spec, canary.spec.analysis
    target = f"{spec.target_ref.kind}/{canary.target_name}.{canary.namespace}"
    found = [
        *((("Cluster", cluster),) if cluster else ()),
        ("Target", target),
        ("Failed checks threshold", str(canary.threshold)),
        ("Progress deadline", f"{int(canary.progress_deadline.total_seconds())}s"),
    ]
    routing = ""
    if analysis.step_weight:
        routing = f"Weight step: {analysis.step_weight} max: {analysis.max_weight or 0}"
    elif analysis.step_weights:
        steps = ",".join(map(str, analysis.step_weights))
        routing = f"Weight steps: {steps} max: {analysis.max_weight or 0}"
    elif analysis.match:
        routing = "A/B Testing"
    elif analysis.iterations:
        routing = "Blue/Green"
    return (*found, *((("Traffic routing", routing),) if routing else ()))
