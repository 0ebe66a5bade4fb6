"""Problems in files, each at its line."""

from __future__ import annotations

import pytest

from rollout.cli.canary.lint import Finding, lint

GOOD = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata:
  name: catalog
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: catalog}
  service:
    port: 80
  analysis:
    interval: 10s
    threshold: 5
    stepWeight: 10
    metrics:
      - name: request-success-rate
        thresholdRange: {min: 99}
"""


def lines(text: str) -> list[tuple[int, str]]:
    return [(found.line, found.message) for found in lint("a.yaml", text).findings]


def test_a_good_file_has_no_findings_and_other_kinds_are_passed_over() -> None:
    linted = lint(
        "a.yaml", f"kind: ConfigMap\napiVersion: v1\n---\n---\n{GOOD}---\n[1, 2]\n---\ntext\n"
    )
    assert (linted.objects, linted.findings, linted.ok) == (1, (), True)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("interval: 10s", "interval: 10x", 10, "spec.analysis.interval: '10x' is not a duration"),
        ("stepWeight", "stepWieght", 12, "did you mean stepWeight?"),
        ("{min: 99}", '{min: "99"}', 15, "spec.analysis.metrics[0].thresholdRange.min"),
        ("    port: 80\n", "    name: x\n", 7, "spec.service.port: is required"),
        ("flagger.app/v1beta1", "flagger.app/v1alpha1", 1, "apiVersion"),
        ("  name: catalog\n", "", 3, "metadata"),
    ],
)
def test_a_problem_is_named_with_its_line(old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    found = lines(f"# first\n---\n{GOOD.replace(old, new, 1)}")
    assert any(at == line + 2 and said in message for at, message in found), found


def test_objects_of_a_list_have_their_own_lines() -> None:
    indented = "".join(
        f"    {text}\n" for text in GOOD.replace("port: 80", "prot: 80").splitlines()
    )
    found = lines(f"kind: List\napiVersion: v1\nitems:\n  -\n{indented}")
    assert [line for line, _ in found if line == 12]


def test_what_would_be_ignored_is_a_warning() -> None:
    linted = lint("a.yaml", GOOD.replace("threshold: 5", "threshold: 5\n    mirror: true"))
    assert linted.ok
    assert [(found.line, found.warning) for found in linted.findings] in ([(12, True)], [])


@pytest.mark.parametrize(
    ("text", "line"), [("a: [1,\nb: c", 2), ("a: b: c", 1), ("a: &x [*y]", 1), ("\x00", 1)]
)
def test_what_is_not_yaml_is_one_finding(text: str, line: int) -> None:
    (found,) = lint("a.yaml", text).findings
    assert "not YAML" in found.message
    assert found.line == line


def test_a_finding_reads_as_compilers_do() -> None:
    assert str(Finding(file="a.yaml", line=3, message="no")) == "a.yaml:3: no"
    assert (
        str(Finding(file="a.yaml", line=3, message="hm", warning=True)) == "a.yaml:3: warning: hm"
    )
