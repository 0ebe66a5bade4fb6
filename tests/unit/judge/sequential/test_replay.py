"""The judge over past traffic: from a file, and pod against pod."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rollout.cli.app import app
from rollout.judge.sequential import Tick, Verdict, latency, success_rate
from rollout.judge.sequential.replay import UnreadableTicks, false_alarms, parse_ticks, replay
from rollout.judge.thresholds import Bounds

RATE = success_rate(Bounds())
RUNNER = CliRunner()


def line(at: int, canary: tuple[int, int], primary: tuple[int, int]) -> str:
    arms = {
        name: {"failed": bad, "total": total}
        for name, (bad, total) in (("canary", canary), ("primary", primary))
    }
    return json.dumps({"at": at, **arms})


BAD = [line(at, (0, 0), (1, 500)) for at in range(0, 100, 5)]
BAD += [line(at, (3, 50), (1, 450)) for at in range(100, 200, 5)]


def test_replay_stops_at_the_first_decision() -> None:
    decision = replay(parse_ticks("\n".join(BAD), RATE), RATE)
    assert decision is not None
    assert decision.explanation.verdict is Verdict.WORSE
    assert 100 <= decision.at <= 115


def test_without_canary_requests_there_is_no_decision() -> None:
    assert replay(parse_ticks("\n".join(BAD[:20]), RATE), RATE) is None


def test_latency_is_read_by_edge() -> None:
    arm = {"total": 10, "slower": {"100": 4, "250": 1, "500": 0}}
    text = json.dumps({"at": 5, "canary": arm, "primary": arm}) + "\n\n"
    ticks = parse_ticks(text, latency(Bounds(), edges=(100.0, 250.0)))
    assert ticks[0][1].canary.bad == (4, 1)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"at": 1}', line(1, (3, 2), (0, 1)), '{"at": 1, "canary": 2, "primary": 3}'],
)
def test_a_line_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(UnreadableTicks, match=r"line 2: .*each line is an object with at"):
        parse_ticks(f"{BAD[0]}\n{text}", RATE)


def pods(bad: int) -> dict[str, list[tuple[float, Tick]]]:
    times = [5.0 * number for number in range(480)]
    return {
        "a": [(at, Tick.of((bad, 50), (1, 50))) for at in times],
        "b": [(at, Tick.of((1, 50), (bad, 50))) for at in times],
    }


def test_pods_that_are_equal_raise_no_alarm_and_one_that_differs_does() -> None:
    equal = false_alarms(pods(1), RATE, window=600)
    assert (equal.runs, equal.alarms) == (6, 0)
    differing = false_alarms(pods(20), RATE, window=600)
    assert (differing.runs, differing.alarms) == (6, 3)
    assert "look for a pod that differs" in differing.sentence()
    assert "no window" in false_alarms({}, RATE, window=600).sentence()
    assert equal.sentence().startswith("0 of 6 runs raised a false alarm (0.00%)")


def test_command_says_when_and_why(tmp_path: Path) -> None:
    file = tmp_path / "ticks.jsonl"
    file.write_text("\n".join(BAD))
    ran = RUNNER.invoke(app, ["judge", "replay", str(file)])
    assert ran.exit_code == 0
    assert ran.output.startswith("1970-01-01T00:01:")
    assert "worse: failed requests: canary" in ran.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name a file, or --prometheus and --target"),
        (["absent.jsonl"], "absent.jsonl: "),
        (["--alpha", "2"], "--alpha is 2.0; it must be between 0 and 1"),
        (
            ["--prometheus", "http://127.0.0.1:9", "--target", "cart"],
            "http://127.0.0.1:9 does not answer",
        ),
    ],
)
def test_command_fails_with_a_sentence(arguments: list[str], sentence: str) -> None:
    ran = RUNNER.invoke(app, ["judge", "replay", *arguments])
    assert ran.exit_code == 1
    assert sentence in ran.stderr
