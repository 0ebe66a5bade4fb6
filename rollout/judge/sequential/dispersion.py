"""How much bad requests cluster: the variance of the primary's counts, as a multiple of what independence would give.

A retry storm or a dropped connection fails many requests for one reason; counted one by one they would prove far too
much. Pearson's index over blocks of the primary's ticks measures it, from four running sums.
"""

from __future__ import annotations

import math
from typing import NamedTuple

LEAST = 1.0
MOST = 20.0
"""The factor is kept in these bounds; more than the largest says that the blocks are too short for this service."""
_ENOUGH = 10


class Spread(NamedTuple):
    """The dispersion factor, and whether enough separate causes were seen to know it."""

    factor: float = LEAST
    known: bool = False


def size(*, struck: int, bad: int) -> float:
    """How many bad requests one cause makes, at most: the mean of the `struck` blocks that had any of the `bad` ones.

    It is what no bad requests at all say something about: of n requests with a share s, in clusters of any sizes with the
    mean m, none is bad with the probability exp(-n s / m). Raised by the error that so few blocks leave.
    """
    if not struck:
        return LEAST
    return min(1 + (bad / struck - 1) * (1 + 1 / math.sqrt(struck)), MOST)


def estimate(*, blocks: int, total: int, bad: int, squares: float) -> Spread:
    """The dispersion of `bad` of `total` requests; `squares` is the sum over blocks of bad^2 / total.

    What exceeds independence is raised by its own relative error, which the number of separate causes tells.
    """
    if blocks < 2 or bad == 0 or bad == total:
        return Spread()
    share = bad / total
    index = (squares / share - bad) / ((blocks - 1) * (1 - share))
    if index <= LEAST:
        return Spread(LEAST, bad >= _ENOUGH)
    raised = 1 + (index - 1) * (1 + math.sqrt(index / bad))
    return Spread(min(raised, MOST), bad >= _ENOUGH * index)
