"""Where numbers are on a picture, and which of them are written at its edges. Pure; knows no picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers from `low` to `high`, at places from `begin` to `end`; `log` where ratios are what matters."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a number; numbers outside are put at the edge."""
        value = min(max(value, self.low), self.high)
        low, high = self._of(self.low), self._of(self.high)
        share = (self._of(value) - low) / (high - low) if high > low else 0.0
        return self.begin + share * (self.end - self.begin)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.log else value


def ticks(low: float, high: float, about: int = 4) -> tuple[float, ...]:
    """Round numbers from low to high, about so many."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return (low,)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(each for each in _STEPS if each * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return tuple(round((first + i) * step, 12) for i in range(count))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 times the powers of ten between; only the powers where these would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    all_ = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if len(all_) <= 8:
        return tuple(all_)
    return tuple(10.0**p for p in powers if low <= 10.0**p <= high)


def milliseconds(seconds: float) -> str:
    """A time as latencies are written."""
    value = seconds * 1000
    if value >= 1000:
        return f"{seconds:.3g} s"
    return f"{value:.3g} ms"


def number(value: float) -> str:
    """A number with as many digits as say something."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.4g}"
