"""Dynatrace's metrics API v2: one value over the whole time, from the last series of the first result, as in Flagger."""

from __future__ import annotations

import json

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer, NoData
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup

_WINDOWS = 10


class Dynatrace:
    """Secret key: `dynatrace_token`. The query is a metric selector, over the last ten intervals."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._url = f"{setup.address()}/api/v2/metrics/query"
        token = setup.require("dynatrace_token")
        self._headers = setup.headers(("Authorization", f"Api-Token {token}"))

    async def answer(self, query: str) -> Answer:
        """The selector's value, aggregated over all of the time."""
        now = int(self._setup.world.now().timestamp()) * 1000
        since = now - int(_WINDOWS * self._setup.window.total_seconds() * 1000)
        request = Request(
            url=self._url,
            headers=self._headers,
            params=(
                ("metricSelector", query),
                ("resolution", "Inf"),
                ("from", str(since)),
                ("to", str(now)),
            ),
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, _read)


def _read(reply: Reply) -> Answer:
    result = json.loads(reply.body).get("result") or []
    data = result[0].get("data") if result else []
    values = data[-1].get("values") if data else []
    return number(values[0]) if values else NoData("no series has a value")
