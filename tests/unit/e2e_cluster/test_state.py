"""What a killed launcher leaves half written is the same as nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster.cluster import State, trouble
from e2e.cluster.layout import Layout
from e2e.cluster.processes import Process, spawn


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = State(
        binary="/b",
        port=8080,
        holder=Process(7, "boot:1"),
        processes={"etcd": Process(8, "boot:2")},
    )
    state.save(tmp_path / "state.json")
    assert State.read(tmp_path / "state.json") == state


@pytest.mark.parametrize("text", ["", "{", "[]", '{"binary": "/b"}', '{"holder": 7}'])
def test_a_broken_state_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert State.read(tmp_path / "state.json") is None
    assert trouble(Layout(directory=tmp_path)) == "no cluster was brought up"


def test_a_dead_process_is_named_with_its_log(tmp_path: Path) -> None:
    alive = spawn(["sleep", "60"], tmp_path / "log")
    try:
        state = State(
            binary="/b", port=8080, holder=alive, processes={"etcd": Process(alive.pid, "boot:2")}
        )
        state.save(tmp_path / "state.json")
        said = trouble(Layout(directory=tmp_path))
        assert said == f"etcd has ended (its log is in {tmp_path / 'logs'})"
    finally:
        alive.kill()
