"""How soon a bad version is gone on the real cluster: 100 requests a second, a tenth of them the canary's, 5 % of these fail.

`python -m bench.judge_cluster [RUNS [CLASSIC_RUNS [GOOD_RUNS]]]` on the local cluster. Each run is a rollout through the
real gateway and the real proxies, seen by its callers; the classic rule is the same Canary without its judge, 99 % each
minute, five failures; a good run is one of a version that fails nothing, until it is promoted. The last line is one JSON object with the figures and the goals that were missed.
"""

from __future__ import annotations

import json
import math
import statistics
import sys

from bench.goals import missed
from e2e.judged import Judged, Outcome, calling
from e2e.lab import Lab

RATE = 100.0
BAD = "status=500:5"
GOALS = {"seconds_p95": 25.0, "bad_most": 12.0, "good_seconds_p50": 60.0}
CLASSIC = {"judge": None, "interval": "60s", "threshold": 5}


def runs(judged: Judged, count: int, timeout: float) -> list[Outcome]:
    """So many rollouts of a bad version, one after the other; each is a new revision."""
    found = []
    with calling(RATE) as calls:
        for number in range(count):
            # Another order of the same answers is another revision, which is not the one that failed before.
            outcome = judged.roll_out(f"{BAD}&size={number + 1}", calls, timeout)
            found.append(outcome)
            print(
                f"{number + 1:3d}: {outcome.phase} after {outcome.seconds:5.1f} s,"
                f" {outcome.bad} bad answers; {outcome.message}",
                flush=True,
            )
    return found


def promotions(judged: Judged, count: int, timeout: float) -> dict[str, float]:
    """So many good versions, one after the other: how many were promoted, and how long their analyses took."""
    seconds, promoted = list[float](), 0
    with calling(RATE) as calls:
        for number in range(count):
            outcome = judged.roll_out(f"size={number + 1}", calls, timeout)
            promoted += outcome.phase == "Succeeded"
            seconds.append(outcome.analysed)
            print(
                f"{number + 1:3d}: {outcome.phase} after {outcome.analysed:5.1f} s; {outcome.message}",
                flush=True,
            )
    return {
        "good_runs": count,
        "good_promoted": promoted,
        "good_seconds_p50": round(statistics.median(seconds), 1),
        "good_seconds_most": round(max(seconds), 1),
    }


def figures(outcomes: list[Outcome], prefix: str = "") -> dict[str, float]:
    """What is published of them."""
    seconds = sorted(each.seconds for each in outcomes)
    bad = sorted(each.bad for each in outcomes)
    late = math.ceil(0.95 * len(seconds)) - 1
    return {
        f"{prefix}runs": len(outcomes),
        f"{prefix}rolled_back": sum(each.phase == "Failed" for each in outcomes),
        f"{prefix}seconds_p50": round(statistics.median(seconds), 1),
        f"{prefix}seconds_p95": round(seconds[late], 1),
        f"{prefix}bad_p50": statistics.median(bad),
        f"{prefix}bad_p95": bad[late],
        f"{prefix}bad_most": bad[-1],
    }


def main() -> None:
    given = sys.argv[1:4]
    count, classic, good = (int(each) for each in (*given, *("20", "1", "5")[len(given) :]))
    judged = Judged(Lab.prepare())
    found: dict[str, float] = {}
    if count:
        judged.deploy()
        found |= figures(runs(judged, count, 150))
    if classic:
        judged.deploy(**CLASSIC)
        found |= figures(runs(judged, classic, 500), "classic_")
    if good:
        judged.deploy()
        found |= promotions(judged, good, 320)
    judged.remove()
    print(json.dumps({"figures": found, "goals_missed": missed(found, GOALS)}))


if __name__ == "__main__":
    main()
