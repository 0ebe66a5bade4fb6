"""The template engine against a table whose expectations Go's own text/template gave, and its limits."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.api.gotemplate import Limits, TemplateError, TemplateSet, parse_errors, render

CASES = json.loads(Path(__file__).with_name("gotemplate_cases.json").read_text())
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "target": lambda: "podinfo",
    "namespace": lambda: "test",
    "interval": lambda: "1m",
    "variables": lambda: {"code": "5.*"},
    "upper": str.upper,
}


def rendered(case: Mapping[str, Any]) -> str:
    templates = TemplateSet(FUNCTIONS, missing_key=case.get("missing", "error"))
    templates.add("query", case["template"])
    return templates.render("query", case.get("data"))


@pytest.mark.parametrize("case", [c for c in CASES if "want" in c], ids=lambda c: c["id"])
def test_renders_what_go_renders(case: Mapping[str, Any]) -> None:
    assert rendered(case) == case["want"]


@pytest.mark.parametrize("case", [c for c in CASES if "reason" in c], ids=lambda c: c["id"])
def test_refuses_what_go_refuses(case: Mapping[str, Any]) -> None:
    with pytest.raises(TemplateError) as refused:
        rendered(case)
    assert case["reason"] in refused.value.reason


def test_says_where() -> None:
    with pytest.raises(TemplateError) as refused:
        render("sum(\n  {{ nope }})", FUNCTIONS)
    assert str(refused.value) == (
        "template query, line 2, column 6: function 'nope' is not defined"
    )
    assert parse_errors("{{ target", frozenset({"target"})) is not None
    assert parse_errors("{{ target }}", frozenset({"target"})) is None


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{range 1000000}}{{end}}", "steps"),
        ("{{range 90000}}{{range 90000}}{{end}}{{end}}", "steps"),
        ('{{define "a"}}{{template "a"}}{{end}}{{template "a"}}', "deeper"),
        ('{{printf "%999999999d" 1}}', "width"),
        ("{{range 9000}}0123456789{{end}}", "characters"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "nested deeper"),
        ("{{if 1}}" * 5000, "nested deeper"),
        ("{{ target.__class__ }}", "can't evaluate field"),
        ("{{ variables.keys }}", "no entry"),
    ],
)
def test_stays_within_limits(template: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        render(template, FUNCTIONS)


def test_included_templates_share_the_limits() -> None:
    functions: dict[str, Callable[..., Any]] = {
        "include": lambda name: templates.render(name, None)
    }
    templates = TemplateSet(functions, limits=Limits(steps=1_000, depth=10))
    templates.add("a", '{{ include "a" }}')
    with pytest.raises(TemplateError, match="deeper than 10"):
        templates.render("a", None)
    templates.add("b", "fine again")
    assert templates.render("b", None) == "fine again"


def test_methods_in_the_data_are_called() -> None:
    templates = TemplateSet({}, missing_key="zero")
    templates.add("t", '{{ if .Capabilities.Has "v1" }}yes{{ end }}')
    assert templates.render("t", {"Capabilities": {"Has": lambda name: name == "v1"}}) == "yes"


PIECES = [
    "{{",
    "}}",
    " if ",
    " end ",
    " range 3 ",
    "define",
    "else",
    "target",
    *"{}-. $x|()\"'`:=1a\n/*",
]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_renders_or_is_refused_with_its_place(text: str) -> None:
    with contextlib.suppress(TemplateError):
        render(text, FUNCTIONS)
    refused = parse_errors(text, frozenset(FUNCTIONS))
    assert refused is None or (refused.line >= 1 and refused.column >= 1)
