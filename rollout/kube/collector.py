"""Python's cycle collector in processes that hold the objects of a whole cluster.

A full collection walks everything that is held, and everything waits for it: half a second with a thousand canaries.
What survives one is nearly all going to stay, and is plain JSON without cycles, which goes by its reference counts; so
it is set aside, and the next walks only what has come since. Cycles that end among what was set aside are found by an
occasional walk over everything.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass

OLDEST = 2
_EVERY = 200
"""Of so many full collections one walks everything."""


@dataclass(slots=True)
class _Sparing:
    left: int = _EVERY

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] != OLDEST:
            return
        if phase == "stop":
            gc.freeze()
            return
        self.left -= 1
        if not self.left:
            self.left = _EVERY
            gc.unfreeze()


def spare_what_stays() -> None:
    """Set aside what is there now, and from now on what survives a full collection; may be called again."""
    if not any(isinstance(each, _Sparing) for each in gc.callbacks):
        gc.callbacks.append(_Sparing())
    gc.collect()
