"""Splunk Observability (SignalFx): a SignalFlow program, computed at once, its data as server-sent events.

Flagger speaks the same computation over a WebSocket; the events carry the same messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer, NoData, QueryFailed
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup

_WINDOWS = 10


class Splunk:
    """Secret key: `sf_token_key`. The address is that of the API or of the stream, with https or wss."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        if not setup.source.address:
            setup.address()
        stream = setup.source.address.rstrip("/").replace("api", "stream", 1)
        self._url = stream.replace("ws", "http", 1) if stream.startswith("ws") else stream
        self._headers = setup.headers(
            ("X-SF-Token", setup.require("sf_token_key")), ("Content-Type", "text/plain")
        )

    async def answer(self, query: str) -> Answer:
        """The program's last value; it must publish one time series."""
        now = int(self._setup.world.now().timestamp() * 1000)
        since = now - int(_WINDOWS * self._setup.window.total_seconds() * 1000)
        request = Request(
            method="POST",
            url=f"{self._url}/v2/signalflow/execute",
            headers=self._headers,
            params=(("start", str(since)), ("stop", str(now)), ("immediate", "true")),
            body=query.encode(),
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, _read)


def _read(reply: Reply) -> Answer:
    series: set[str] = set()
    last: object = None
    for event, data in _events(reply.text):
        if event == "error":
            return QueryFailed(
                f"splunk refuses the query: {json.dumps(data)}"[:300], retriable=False
            )
        for point in data.get("data", ()) if event == "data" else ():
            if point["value"] is not None:
                series.add(point["tsId"])
                last = point["value"]
    if len(series) > 1:
        return QueryFailed(
            f"the program publishes {len(series)} time series, not one", retriable=False
        )
    return NoData("no time series has a value") if last is None else number(last)


def _events(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    event, lines = "", list[str]()
    for line in [*text.splitlines(), ""]:
        name, _, rest = line.partition(":")
        if name == "event":
            event = rest.strip()
        elif name == "data":
            lines.append(rest)
        elif not line and lines:
            yield event, json.loads("\n".join(lines))
            event, lines = "", []
