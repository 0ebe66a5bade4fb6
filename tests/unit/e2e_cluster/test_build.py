"""When a binary is built again, and when it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster import build as builds
from e2e.cluster.build import PROGRAMS, Program, build
from e2e.cluster.progress import ClusterError


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of its own and an empty cache; compiling writes the program's package as the binary."""
    module = tmp_path / "sources" / "module"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    (module / "main.go").write_text("package main\n")
    monkeypatch.setattr(builds, "SOURCES", tmp_path / "sources")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(PROGRAMS, "x", Program(module="module", package="."))

    def compile_(name: str, program: Program, binary: Path) -> None:
        binary.write_text(program.package)
        with (module / "compiled").open("a") as log:
            log.write(f"{name}\n")

    monkeypatch.setattr(builds, "_compile", compile_)
    return module


def compiled(sources: Path) -> int:
    return len((sources / "compiled").read_text().splitlines())


def test_an_unchanged_program_is_built_once(sources: Path) -> None:
    assert build("x") == build("x")
    assert compiled(sources) == 1


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go", "other/helper.go"])
def test_a_changed_source_or_version_is_built_anew(sources: Path, changed: str) -> None:
    before = build("x")
    (sources / changed).parent.mkdir(exist_ok=True)
    (sources / changed).write_text("changed")
    assert build("x") != before
    assert compiled(sources) == 2


def test_changed_flags_are_built_anew() -> None:
    program = PROGRAMS["prometheus"]
    assert replace(program, tags="").digest() != program.digest()


def test_each_podinfo_is_another_binary() -> None:
    digests = {PROGRAMS[f"podinfo-{version}"].digest() for version in builds.PODINFO}
    assert len(digests) == len(builds.PODINFO)


def test_kubectl_is_the_kubernetes_binary_under_that_name(sources: Path) -> None:
    kubectl = build("kubectl")
    assert kubectl.name == "kubectl"
    assert kubectl.resolve() == build("kubernetes")


def test_an_unknown_program_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ClusterError, match=r"no program 'etcd'.*fortio.*kubernetes"):
        build("etcd")
