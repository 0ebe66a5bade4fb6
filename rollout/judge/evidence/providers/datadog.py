"""Datadog: the oldest point of the first series, since the newest bucket is nearly always incomplete, as in Flagger."""

from __future__ import annotations

import json

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer, NoData
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup

_HOST = "https://api.datadoghq.com"
_WINDOWS = 10


class Datadog:
    """Secret keys: `datadog_api_key` and `datadog_application_key`. Asks for the last ten intervals."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._url = f"{setup.address(_HOST)}/api/v1/query"
        self._headers = setup.headers(
            ("DD-API-KEY", setup.require("datadog_api_key")),
            ("DD-APPLICATION-KEY", setup.require("datadog_application_key")),
        )

    async def answer(self, query: str) -> Answer:
        """The oldest point of the first series."""
        now = int(self._setup.world.now().timestamp())
        since = now - int(_WINDOWS * self._setup.window.total_seconds())
        request = Request(
            url=self._url,
            headers=self._headers,
            params=(("query", query), ("from", str(since)), ("to", str(now))),
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, _read)


def _read(reply: Reply) -> Answer:
    series = json.loads(reply.body).get("series") or []
    points = series[0].get("pointlist") if series else []
    if not points:
        return NoData("no series has a point")
    return number(points[0][1])
