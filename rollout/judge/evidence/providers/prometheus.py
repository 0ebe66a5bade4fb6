"""Prometheus behind a login: the last sample of an instant vector, as for metrics without a template."""

from __future__ import annotations

import json

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer
from rollout.judge.evidence.prometheus import last_value
from rollout.judge.evidence.providers.setup import Setup


class Prometheus:
    """Secret keys: `token`, or `username` and `password`."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._url = f"{setup.address()}/api/v1/query"
        self._headers = setup.headers()
        self._basic: tuple[str, str] | None = None
        if setup.secret is None:
            return
        if "token" in setup.secret:
            bearer = ("Authorization", f"Bearer {setup.require('token')}")
            self._headers = (*self._headers, bearer)
        else:
            self._basic = (setup.require("username"), setup.require("password"))

    async def answer(self, query: str) -> Answer:
        """The last sample."""
        request = Request(
            url=self._url,
            headers=self._headers,
            params=(("query", query),),
            basic=self._basic,
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, _read)


def _read(reply: Reply) -> Answer:
    return last_value(json.loads(reply.body)["data"]["result"])
