"""How often a hook is tried and what its answer means: the rules of Go's retryablehttp, which Flagger follows. Pure."""

from __future__ import annotations

from rollout.delivery.hooks.call import Agreed, Outcome, Refused

_LEAST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_LAST_GOOD = 202
_LONGEST_REASON = 500


def is_retried(status: int | None) -> bool:
    """Whether an answer, or None for none, is worth another try."""
    if status is None:
        return True
    return status == 429 or (status >= 500 and status != 501)


def pause(attempt: int, asked: float | None = None) -> float:
    """Seconds to wait after the attempt of this number, which counts from 0; `asked` is what the server wants."""
    if asked is not None:
        return min(_LONGEST_PAUSE_SECONDS, asked)
    return min(_LONGEST_PAUSE_SECONDS, _LEAST_PAUSE_SECONDS * 2.0 ** min(attempt, 10))


def outcome(status: int | None, said: str, attempts: int) -> Outcome:
    """What the last answer means: agreement up to 202, and the answer's own words otherwise."""
    if status is not None and 200 <= status <= _LAST_GOOD:
        return Agreed()
    words = " ".join(said.split())[:_LONGEST_REASON]
    if is_retried(status):
        tries = f"giving up after {attempts} attempt(s)"
        said_so = f"{status} {words}".strip() if status is not None else words
        return Refused(f"{tries}: {said_so}")
    return Refused(words or f"the answer is {status}")
