"""What a script is told, and what a terminal is never told."""

from __future__ import annotations

import pytest

from rollout.cli.canary.outcome import Exit, outcome
from rollout.cli.canary.view import printable, view
from rollout.delivery.targets import DEPLOYMENTS
from rollout.kube.objects import Object
from tests.unit.delivery.world import canary, deployment

REVISION = DEPLOYMENTS.revision(deployment("catalog:2"))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, Exit.UNDER_WAY, id="new"),
        pytest.param({"phase": "Initializing"}, Exit.UNDER_WAY, id="initializing"),
        pytest.param({"phase": "Progressing"}, Exit.UNDER_WAY, id="progressing"),
        pytest.param({"phase": "Waiting"}, Exit.UNDER_WAY, id="waiting"),
        pytest.param(
            {"phase": "Initialized", "lastAppliedSpec": REVISION}, Exit.WELL, id="initialized"
        ),
        pytest.param({"phase": "Succeeded", "lastAppliedSpec": REVISION}, Exit.WELL, id="promoted"),
        pytest.param(
            {"phase": "Succeeded", "lastAppliedSpec": "v1-old"},
            Exit.UNDER_WAY,
            id="not noticed yet",
        ),
        pytest.param({"phase": "Failed", "lastAppliedSpec": REVISION}, Exit.FAILED, id="failed"),
        pytest.param(
            {"phase": "Failed", "lastAppliedSpec": "v1-old"},
            Exit.UNDER_WAY,
            id="mended, not noticed yet",
        ),
    ],
)
def test_the_exit_code_is_of_the_present_revision(status: Object, expected: Exit) -> None:
    release = {**canary(), "status": status}
    assert outcome(view(release, {"catalog": deployment("catalog:2")})) is expected


def test_a_canary_that_cannot_be_read_has_failed() -> None:
    release = {**canary(), "status": {"phase": "Progressing"}}
    release["spec"] = {**release["spec"], "analysis": {"interval": "soon"}}
    assert outcome(view(release, {})) is Exit.FAILED


def test_nothing_steers_the_terminal() -> None:
    assert printable({"a": ["x\x1b[2J", 1, None], "b": "fine…"}) == {
        "a": ["x [2J", 1, None],
        "b": "fine…",
    }
