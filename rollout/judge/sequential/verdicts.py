"""What the judge can say. Only nouns; knows neither a test nor what follows."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """What the evidence so far allows to say of the canary; never a guess."""

    WORSE = "worse"
    """The canary is worse than the primary, or than its limit: wrong with a probability of at most alpha."""
    NOT_WORSE = "not worse"
    """The canary is not worse than is tolerated: wrong with a probability of at most beta."""
    UNDECIDED = "undecided"
    """The traffic seen so far allows neither."""
