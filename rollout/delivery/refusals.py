"""Everything that can hold a canary back, in one table: each refusal has one name in conditions, events, metrics and logs.

The events that users of Flagger know keep its reason, `Synced`; what Flagger had no words for carries its own.
Knows nothing of how a refusal is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

SYNCED = "Synced"
BLOCKED = "Blocked"
"""The condition that is True while something that a person may have to mend holds the canary."""
POST_ROLLOUT = "PostRollout"
"""The condition that is Unknown while post-rollout hooks have to be called, then whether they agreed."""
FIELDS_IGNORED = "FieldsIgnored"
"""The condition that is True while the canary uses fields that this version does not act upon."""


class Refusal(Enum):
    """Why a canary does not move."""

    INVALID_SPEC = auto()
    NOT_SUPPORTED = auto()
    TARGET_NOT_FOUND = auto()
    TARGET_UNUSABLE = auto()
    TARGET_SHARED = auto()
    SCALER_UNUSABLE = auto()
    PRIMARY_MISSING = auto()
    PRIMARY_NOT_READY = auto()
    CANARY_NOT_READY = auto()
    BASELINE_NOT_READY = auto()
    WRITE_REFUSED = auto()
    ROUTE_REFUSED = auto()
    METRICS_UNREACHABLE = auto()
    QUERY_REFUSED = auto()
    NO_VALUES = auto()
    HOOK_FAILED = auto()
    NO_EVIDENCE = auto()
    INCONCLUSIVE = auto()
    CHAOS = auto()


@dataclass(frozen=True, slots=True)
class Names:
    """What one refusal is called, by who reads it."""

    condition: str
    event: str
    metric: str
    log: str


def _own(word: str, snake: str) -> Names:
    return Names(word, word, snake, snake)


def _flaggers(word: str, snake: str) -> Names:
    return Names(word, SYNCED, snake, snake)


NAMES: Mapping[Refusal, Names] = {
    Refusal.INVALID_SPEC: _own("InvalidSpec", "invalid_spec"),
    Refusal.NOT_SUPPORTED: _own("NotSupported", "not_supported"),
    Refusal.TARGET_NOT_FOUND: _own("TargetNotFound", "target_not_found"),
    Refusal.TARGET_UNUSABLE: _own("TargetUnusable", "target_unusable"),
    Refusal.TARGET_SHARED: _own("TargetShared", "target_shared"),
    Refusal.SCALER_UNUSABLE: _own("ScalerUnusable", "scaler_unusable"),
    Refusal.PRIMARY_MISSING: _own("PrimaryMissing", "primary_missing"),
    Refusal.PRIMARY_NOT_READY: _flaggers("PrimaryNotReady", "primary_not_ready"),
    Refusal.CANARY_NOT_READY: _flaggers("CanaryNotReady", "canary_not_ready"),
    Refusal.BASELINE_NOT_READY: _own("BaselineNotReady", "baseline_not_ready"),
    Refusal.WRITE_REFUSED: _own("WriteRefused", "write_refused"),
    Refusal.ROUTE_REFUSED: _own("RouteRefused", "route_refused"),
    Refusal.METRICS_UNREACHABLE: _flaggers("MetricsUnreachable", "metrics_unreachable"),
    Refusal.QUERY_REFUSED: _flaggers("QueryRefused", "query_refused"),
    Refusal.NO_VALUES: _flaggers("NoValues", "no_values"),
    Refusal.HOOK_FAILED: _flaggers("HookFailed", "hook_failed"),
    Refusal.NO_EVIDENCE: _flaggers("NoEvidence", "no_evidence"),
    Refusal.INCONCLUSIVE: _flaggers("Inconclusive", "inconclusive"),
    Refusal.CHAOS: _own("Chaos", "chaos"),
}
