"""Helm's and Sprig's functions, with what their documentation says they give."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from rollout.api.gotemplate import TemplateError
from rollout.install.chartfuncs import render_chart, template_set, to_yaml

DATA = {
    "name": "app",
    "list": ["a", "b"],
    "map": {"k": "v", "n": 1},
    "none": None,
    "zero": 0,
    "on": True,
}


def rendered(template: str, data: Any = None) -> str:
    templates = template_set()
    templates.add("t", template)
    return templates.render("t", DATA if data is None else data)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{{ default "x" .missing }} {{ .name | default "x" }} {{ default 3 .zero }}', "x app 3"),
        ('{{ quote .name 1 }} {{ squote .name }} {{ quote .none "a" }}', "\"app\" \"1\" 'app' \"a\""),
        ('{{ "a\\nb" | indent 2 }}|{{ "a\\nb" | nindent 2 }}', "  a\n  b|\n  a\n  b"),
        ("{{ toYaml .map }}", "k: v\nn: 1"),
        ('{{ trunc 3 "abcdef" }} {{ trunc -3 "abcdef" }}', "abc def"),
        ('{{ trimSuffix "-" "a-" }}{{ trimPrefix "v" "v1" }}{{ trim " x " }}', "a1x"),
        ('{{ replace "+" "_" "a+b" }} {{ upper "a" }} {{ lower "B" }}', "a_b A b"),
        ('{{ join "," .list }} {{ splitList "/" "a/b" }} {{ list 1 "a" }}', "a,b [a b] [1 a]"),
        ('{{ contains "a" "cat" }} {{ hasPrefix "c" "cat" }} {{ hasSuffix "c" "cat" }}', "true true false"),
        ('{{ ternary "y" "n" .on }} {{ .on | ternary "y" "n" }}', "y y"),
        ('{{ empty .zero }} {{ coalesce .none 0 "x" }} {{ hasKey .map "k" }}', "true x true"),
        ('{{ (dict "a" 1 "b" .name).b }} {{ get .map "k" }} {{ keys .map | sortAlpha }}', "app v [k n]"),
        ('{{ has "a" .list }} {{ kindIs "map" .map }} {{ kindOf .list }}', "true true slice"),
        ('{{ b64enc "a" }} {{ b64dec "YQ==" }} {{ sha256sum "" | trunc 8 }}', "YQ== a e3b0c442"),
        ('{{ add 1 2 3 }} {{ sub 3 1 }} {{ mul 2 3 }} {{ int "7" }}', "6 2 6 7"),
        ("{{ toJson .map }} {{ (fromYaml `a: {b: 1}`).a.b }}", '{"k":"v","n":1} 1'),
        ('{{ merge (dict "a" 1) (dict "a" 2 "b" 3) | toJson }}', '{"a":1,"b":3}'),
        ("{{ range until 3 }}{{ . }}{{ end }}", "012"),
        ('{{ toString 5 | printf "%s!" }}', "5!"),
    ],
)  # fmt: skip
def test_gives(template: str, expected: str) -> None:
    assert rendered(template) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ('{{ required "image: name the image" .missing }}', "image: name the image"),
        ('{{ fail "no" }}', "no"),
        ('{{ include "absent" . }}', "'absent' is not defined"),
        ('{{ indent 100000 "x" }}', "an indent of 100000"),
        ("{{ .missing.inner }}", "nil pointer"),
        ("{{ upper 3 }}", "error calling upper"),
    ],
)
def test_fails(template: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        rendered(template)


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": [1, {"b": None}]}, "text", {"script": "a\nb\n", "yes": "no", "n": "1e3"}, 1.5, {"deep": {"list": [[1], []]}}],
    ids=str,
)  # fmt: skip
def test_yaml_reads_back(value: Any) -> None:
    text = to_yaml(value)
    assert yaml.safe_load(text) == value
    assert not text.endswith("\n")


def test_a_chart_without_partials_and_notes() -> None:
    files = {
        "c/templates/_helpers.tpl": '{{ define "labels" }}app: {{ .Release.Name }}{{ end }}',
        "c/templates/a.yaml": 'labels:{{ include "labels" . | nindent 2 }}\nx: {{ .Values.absent }}',
        "c/templates/NOTES.txt": "hello",
    }
    out = render_chart(files, {"Values": {}, "Release": {"Name": "r"}})
    assert out == {"c/templates/a.yaml": "labels:\n  app: r\nx: "}
