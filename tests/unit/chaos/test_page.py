"""The page of a report: complete for every verdict, well formed, and in need of nothing from anywhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from rollout.api.chaos import ReportSpec
from rollout.chaos.loadresult import LoadResult
from rollout.chaos.page import page
from rollout.chaos.page.advice import advice
from rollout.chaos.page.histogram import histogram
from rollout.chaos.page.markup import Html, tag
from rollout.chaos.page.scale import Scale, log_ticks, milliseconds, ticks
from tests.unit.chaos.reports import SPEC, fortio, report

NOTHING: dict[str, Any] = {
    "load": None,
    "probes": [],
    "run": [],
    "rollbacks": [],
    "injectedAt": None,
    "recoveringAt": None,
    "steadyStates": {},
    "blast": {},
    "probeSuccessPercentage": None,
    "spec": {},
    "hypothesis": "",
    "fault": "",
}
CASES: dict[str, dict[str, Any]] = {
    "failed": {},
    "passed": {"verdict": "Pass", "status": "completed", "reason": "the steady state was met"},
    "stopped": {"verdict": "Stopped", "status": "aborted"},
    "error": {"verdict": "Error", "status": "interrupted", "reason": "controller lost"},
    "nothing": {**NOTHING, "verdict": "Error", "end": SPEC["start"], "duration": 0.0},
    "no-load-result": {"load": {"error": "Fortio gave no result: it was ended by SIGKILL"}},
}


class Checker(HTMLParser):
    """Every element that is opened is closed, in order; keeps the text and what is referred to."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload", "style"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert not checker.open
    return checker


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_a_page_is_whole_and_needs_nothing(changes: dict[str, Any]) -> None:
    text = page(report(**changes))
    found = read(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.seen)
    assert "url(" not in text
    assert "@import" not in text
    assert found.seen.count("h1") == 1
    given = report(**changes).spec
    for each in (given.experiment, given.hypothesis, given.reason, given.verdict.value):
        assert each in found.text


def test_the_page_shows_what_was_measured() -> None:
    found = read(page(report()))
    assert found.seen.count("svg") == 3, "two probes and the load"
    assert "152 requests, 34.1 % of those to it" in found.text
    assert "no answer 3 0.67 %" in found.text
    assert "p99 318 ms" in found.text
    assert "+11.0 s SteadyStateBreached" in found.text
    assert "undone: FaultRemoved" in found.text
    assert "timeout" in found.text


def test_pictures_say_in_words_what_they_show() -> None:
    text = page(report())
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert 'role="img"' in picture
        assert re.search(r"<title>[^<]+</title><desc>[^<]+</desc>", picture)


def test_what_comes_from_a_cluster_is_never_markup() -> None:
    evil = "<script>alert(1)</script>"
    changes = {
        "reason": evil,
        "hypothesis": evil,
        "fault": evil,
        "target": evil,
        "run": [{"name": evil, "time": SPEC["start"], "output": evil}],
        "probes": [{**SPEC["probes"][0], "name": evil, "description": evil, "criteria": evil}],
        "load": {**fortio(), "RetCodes": {evil: 1}},
    }
    found = read(page(report(**changes)))
    assert "script" not in found.seen
    assert found.text.count("alert(1)") >= 8


def test_pictures_keep_to_their_paper() -> None:
    text = page(report())
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        box = re.search(r'viewBox="0 0 (\d+) (\d+)"', picture)
        assert box
        for name, most in (("x", box[1]), ("x1", box[1]), ("x2", box[1]), ("y", box[2])):
            places = [float(found) for found in re.findall(rf' {name}="([-0-9.]+)"', picture)]
            assert all(0 <= place <= float(most) for place in places), name


def test_all_requests_are_in_the_bars() -> None:
    load = LoadResult.of(fortio())
    drawn = histogram(load)
    assert drawn
    counts = [int(found) for found in re.findall(r": (\d+) requests", drawn)]
    assert sum(counts) == load.requests
    assert histogram(LoadResult.of({**fortio(), "DurationHistogram": EMPTY})) is None


EMPTY = {"Count": 0, "Avg": 0, "Max": 0, "Data": None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verdict": "Pass"}, "The hypothesis held"),
        ({"blast": {}}, "No faulted request was seen"),
        ({"steadyStates": {"before": False}}, "Nothing was broken"),
        ({"spec": {"fault": {"podKill": {}}}}, "more than one replica"),
        ({"spec": {"fault": {"reset": {}}}}, "`retryOn: reset`"),
        ({"spec": {"fault": {"reset": {}}}, "blast": {}}, "No faulted request was seen"),
        ({"verdict": "Stopped"}, "says nothing yet"),
        ({"verdict": "Error"}, "could not be judged"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_advice_follows_from_what_happened(changes: dict[str, Any], words: str) -> None:
    assert any(words in each for each in advice(ReportSpec.model_validate({**SPEC, **changes})))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, (0, 5, 10)), (0, 0.05, (0, 0.02, 0.04)), (3, 3, (3,)), (-1, 1, (-1, 0, 1))],
)
def test_ticks_are_round(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert ticks(low, high, 3) == pytest.approx(expected)


def test_places_and_words_of_numbers() -> None:
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale.at(value) for value in (0.1, 1, 10, 100, 1e9)] == pytest.approx(
        [0, 0, 100, 200, 200]
    )
    assert log_ticks(0.003, 0.33) == pytest.approx((0.005, 0.01, 0.02, 0.05, 0.1, 0.2))
    assert log_ticks(1e-4, 10) == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1, 10))
    assert [milliseconds(each) for each in (0.0073, 0.3041, 1.5)] == ["7.3 ms", "304 ms", "1.5 s"]


def test_attributes_and_text_are_escaped() -> None:
    assert (
        tag("p", "<", Html("<b/>"), None, 1.50, class_='"') == '<p class="&quot;">&lt;<b/>1.5</p>'
    )
