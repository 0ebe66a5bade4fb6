"""How long to wait before what failed is tried again. Pure; knows neither what is tried nor how one waits."""

from __future__ import annotations

from dataclasses import dataclass, field

_ENOUGH_DOUBLINGS = 30


@dataclass(slots=True, kw_only=True)
class Backoff:
    """Waits, in seconds, that double from `base` to `cap` while the same trouble lasts; `failures` of it in a row."""

    base: float
    cap: float
    failures: int = 0
    _trouble: object = field(default=None)

    def after(self, trouble: object = None) -> float:
        """The wait after one more failure. Another trouble than the last time is a first one: who answers
        otherwise than before is there again, and what waited out an outage need not wait as long once more."""
        if trouble != self._trouble:
            self._trouble, self.failures = trouble, 0
        self.failures += 1
        return min(self.cap, self.base * 2.0 ** min(self.failures - 1, _ENOUGH_DOUBLINGS))

    def reset(self) -> None:
        """It went well."""
        self.failures = 0
