"""Which of a benchmark's goals were missed, in one form for all of them."""

from __future__ import annotations

from collections.abc import Mapping


def missed(figures: Mapping[str, float], goals: Mapping[str, float]) -> list[str]:
    """Each goal that was missed, as a sentence; one whose figure was not measured in this run is left out.

    A figure that is not a number misses its goal.
    """
    return [
        f"{key} is {figures[key]:g}, the goal at most {most:g}"
        for key, most in goals.items()
        if key in figures and not figures[key] <= most
    ]
