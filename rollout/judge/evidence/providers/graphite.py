"""Graphite's render API: the last point of the last series that has one, as in Flagger."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer, NoData
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup


class Graphite:
    """The query is that of the render URL, as in `target=sumSeries(app.*.count)&from=-1min`.

    Secret keys, where there is a Secret: `username` and `password`.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._url = f"{setup.address()}/render"
        self._basic = (
            None if setup.secret is None else (setup.require("username"), setup.require("password"))
        )

    async def answer(self, query: str) -> Answer:
        """The last point that is not null."""
        asked = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "format"]
        request = Request(
            url=self._url,
            headers=self._setup.headers(),
            params=(*asked, ("format", "json")),
            basic=self._basic,
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, _read)


def _read(reply: Reply) -> Answer:
    values = [
        point[0]
        for series in json.loads(reply.body)
        for point in series["datapoints"]
        if point[0] is not None
    ]
    return number(values[-1]) if values else NoData("no series has a point")
