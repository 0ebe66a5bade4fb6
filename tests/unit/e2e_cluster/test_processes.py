"""A recorded process is only ever the one that was recorded."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster.processes import Process, spawn


@pytest.fixture
def sleeper(tmp_path: Path) -> Process:
    return spawn(["sleep", "60"], tmp_path / "log")


def test_a_process_lives_until_it_is_killed(sleeper: Process) -> None:
    assert sleeper.alive()
    assert sleeper.kill()
    assert not sleeper.alive()


def test_a_reused_id_is_another_process_and_is_left_alone(sleeper: Process) -> None:
    earlier = replace(sleeper, born="another boot:1")
    assert not earlier.alive()
    earlier.signal(signal.SIGKILL)
    assert sleeper.alive()
    sleeper.kill()


def test_a_process_that_could_not_be_seen_is_never_signalled() -> None:
    assert not Process(os.getpid(), "").alive()
