"""An idle canary costs nothing at the API server."""

from __future__ import annotations

import time

import pytest

from e2e.lab import Lab

pytestmark = pytest.mark.alone

QUIET_SECONDS = 60


def test_an_idle_minute_makes_no_request(lab: Lab) -> None:
    began = time.time()  # noqa: TID251 - the audit log's own clock
    time.sleep(QUIET_SECONDS)
    requests = lab.requests_of("rollout-controller", since=began)
    assert [line for line in requests if line["verb"] != "watch"] == []
