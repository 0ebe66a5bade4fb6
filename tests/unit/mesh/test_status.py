"""Which status is written, and when none is."""

from __future__ import annotations

from typing import Any

from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.status import desired_status

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
PROBLEM = Problem(Ref("VirtualService", "a", "b"), "spec.http[0]", "is wrong", "correct it")


def obj(status: dict[str, Any] | None = None, generation: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {"namespace": "a", "name": "b", "generation": generation}}
    return found | ({"status": status} if status else {})


def test_what_was_always_fine_is_not_written_to() -> None:
    assert desired_status(obj(), (), NOW) is None


def test_a_problem_names_the_field_the_reason_and_the_remedy() -> None:
    status = desired_status(obj({"other": 1}), (PROBLEM,), NOW)
    assert status is not None
    assert status["other"] == 1
    (condition,) = status["conditions"]
    assert condition["type"] == "Reconciled"
    assert condition["status"] == "False"
    assert condition["message"] == "spec.http[0]: is wrong (correct it)"
    assert condition["lastTransitionTime"] == NOW
    assert status["validationMessages"][0]["message"].startswith("VirtualService a/b: spec.http[0]")


def test_the_same_problem_is_written_once() -> None:
    first = desired_status(obj(), (PROBLEM,), NOW)
    assert desired_status(obj(first), (PROBLEM,), LATER) is None
    again = desired_status(obj(first, generation=2), (PROBLEM,), LATER)
    assert again is not None
    assert again["conditions"][0]["lastTransitionTime"] == NOW


def test_a_mended_object_says_so_once() -> None:
    mended = desired_status(obj(desired_status(obj(), (PROBLEM,), NOW)), (), LATER)
    assert mended is not None
    (condition,) = mended["conditions"]
    assert (condition["status"], condition["lastTransitionTime"]) == ("True", LATER)
    assert mended["validationMessages"] == []
    assert desired_status(obj(mended, generation=5), (), LATER) is None
