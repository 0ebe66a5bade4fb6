"""The cycle collector leaves out what stays, and still finds every cycle in the end."""

from __future__ import annotations

import gc
import weakref

from rollout.kube.collector import sparing_what_stays


class Ring:
    def __init__(self) -> None:
        self.me = self


def test_what_survives_is_not_walked_again() -> None:
    held = [{"name": str(index)} for index in range(1000)]
    with sparing_what_stays():
        assert gc.get_freeze_count() > len(held)
        assert len(gc.get_objects(2)) < len(held)


def test_cycles_that_were_set_aside_are_found_in_the_end() -> None:
    ring = Ring()
    gone = weakref.ref(ring)
    with sparing_what_stays():
        del ring
        gc.collect()
        assert gone() is not None, "it was set aside"
        for _ in range(200):
            gc.collect()
        assert gone() is None


def test_afterwards_the_collector_walks_everything_again() -> None:
    before = list(gc.callbacks)
    with sparing_what_stays(), sparing_what_stays():
        pass
    gc.collect()
    assert gc.callbacks == before
    assert not gc.get_freeze_count()
