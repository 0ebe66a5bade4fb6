"""Sequential tests: decide as soon as the evidence allows, with bounded error, however often one looks.

What callers need is named here; docs/judging.md says why it holds.
"""

from rollout.judge.sequential.config import (
    Config,
    Direction,
    Limit,
    Mean,
    Shares,
    latency,
    success_rate,
)
from rollout.judge.sequential.counts import Arm, Evidence, Reading, Tick
from rollout.judge.sequential.explain import Explanation, explain
from rollout.judge.sequential.judging import combined, next_step, shared, update, verdict
from rollout.judge.sequential.state import State, start
from rollout.judge.sequential.status import UnfitState, from_dict, to_dict
from rollout.judge.sequential.verdicts import Verdict

__all__ = [
    "Arm",
    "Config",
    "Direction",
    "Evidence",
    "Explanation",
    "Limit",
    "Mean",
    "Reading",
    "Shares",
    "State",
    "Tick",
    "UnfitState",
    "Verdict",
    "combined",
    "explain",
    "from_dict",
    "latency",
    "next_step",
    "shared",
    "start",
    "success_rate",
    "to_dict",
    "update",
    "verdict",
]
