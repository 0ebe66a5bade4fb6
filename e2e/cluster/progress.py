"""What the launcher says: one line per step, a sign of life while one lasts, one sentence on failure.

Lines go to standard error; standard output carries only what another program reads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_SECONDS = 15


class ClusterError(Exception):
    """A sentence for the user: what failed, where to look, what to do next."""


def say(text: str) -> None:
    print(f"cluster: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says `what` now, again with the elapsed time every 15 s, and how long it took if that was long."""
    say(what)
    began = time.monotonic()
    ended = threading.Event()

    def remind() -> None:
        while not ended.wait(QUIET_SECONDS):
            say(f"  still {what} ({time.monotonic() - began:.0f} s)")

    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    try:
        yield
    finally:
        ended.set()
        reminder.join()
    elapsed = time.monotonic() - began
    if elapsed > 2:
        say(f"  done in {elapsed:.0f} s")


def until(
    what: str,
    check: Callable[[], bool],
    *,
    timeout: float,
    look: str,
    alive: Callable[[], str | None] = lambda: None,
) -> None:
    """Polls `check`; a ClusterError names `what` and where to `look` on time-out, or what has died."""
    deadline = time.monotonic() + timeout
    while not check():
        dead = alive()
        if dead:
            raise ClusterError(f"{dead} ended while waiting for {what}; {look}")
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} did not come within {timeout:.0f} s; {look}")
        time.sleep(0.05)
