"""The namespace that kubectl would use."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.kube.context import default_namespace

CONFIG = """\
current-context: one
contexts:
- {name: one, context: {cluster: c, namespace: shop}}
- {name: two, context: {cluster: c}}
"""


@pytest.mark.parametrize(
    ("context", "expected"), [(None, "shop"), ("two", "default"), ("three", "default")]
)
def test_of_the_context(tmp_path: Path, context: str | None, expected: str) -> None:
    path = tmp_path / "config"
    path.write_text(CONFIG)
    assert default_namespace(str(path), context) == expected
    assert default_namespace(f"{tmp_path / 'absent'}:{path}", context) == expected


@pytest.mark.parametrize("text", ["", "a: [", "[]"])
def test_a_broken_file_is_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    assert default_namespace(str(path)) == "default"
