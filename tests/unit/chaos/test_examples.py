"""The ready-made experiments: each is one object with a hypothesis, valid, short, and explained to who opens the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from rollout.api.chaos import ChaosExperiment

EXAMPLES = sorted((Path(__file__).parents[3] / "chaos").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_ready_to_run(path: Path) -> None:
    text = path.read_text()
    (found,) = yaml.safe_load_all(text)
    found["metadata"]["namespace"] = "shop"
    experiment = ChaosExperiment.parse(found)
    assert text.startswith("# ")
    assert experiment.name == path.stem
    assert experiment.spec.hypothesis.endswith(".")
    assert experiment.spec.duration <= timedelta(seconds=30)
    assert experiment.spec.steady_state
    assert experiment.spec.steady_state.probes


def test_there_are_a_dozen() -> None:
    assert len(EXAMPLES) >= 12
