"""What providers' replies have in common: numbers that may be missing, infinite, or written as text."""

from __future__ import annotations

import math

from rollout.judge.checks import Answer, NoData, Value


def number(value: object) -> Answer:
    """A number, or a text that is one; null and NaN are no data. Raises TypeError or ValueError for anything else."""
    if value is None:
        return NoData("the value is null")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"a value is of type {type(value).__name__}")
    read = float(value)
    return NoData("the value is NaN") if math.isnan(read) else Value(read)
