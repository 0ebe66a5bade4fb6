"""Python's cycle collector in processes that hold the objects of a whole cluster.

A full collection walks everything that is held, and everything waits for it: half a second with a thousand canaries.
What survives one is nearly all going to stay, and is plain JSON without cycles, which goes by its reference counts; so
it is set aside, and the next walks only what has come since. Cycles that end among what was set aside are found by an
occasional walk over everything.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def sparing_what_stays() -> Iterator[None]:
    """Within it, what is there now is set aside, and so is what survives each full collection; afterwards nothing is."""
    sparing = _Sparing()
    gc.callbacks.append(sparing)
    gc.collect()
    try:
        yield
    finally:
        gc.callbacks.remove(sparing)
        gc.unfreeze()
