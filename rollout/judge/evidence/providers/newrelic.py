"""New Relic's Insights query API: one NRQL query, one result."""

from __future__ import annotations

import json

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer, NoData, QueryFailed
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup

_HOST = "https://insights-api.newrelic.com"


class NewRelic:
    """Secret keys: `newrelic_account_id` and `newrelic_query_key`. `SINCE … seconds ago` is added to the query."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        account = setup.require("newrelic_account_id")
        self._url = f"{setup.address(_HOST)}/v1/accounts/{account}/query"
        self._headers = setup.headers(("X-Query-Key", setup.require("newrelic_query_key")))

    async def answer(self, query: str) -> Answer:
        """The query's only result."""
        seconds = int(self._setup.window.total_seconds())
        request = Request(
            url=self._url,
            headers=self._headers,
            params=(("nrql", f"{query} SINCE {seconds} seconds ago"),),
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, _read)


def _read(reply: Reply) -> Answer:
    results = json.loads(reply.body)["results"]
    if len(results) > 1:
        return QueryFailed(f"the query yields {len(results)} results, not one", retriable=False)
    # Arithmetic is named `result`; a single function is named for itself, as in {"average": 1.5}.
    values = [results[0]["result"]] if results and "result" in results[0] else []
    values = values or [value for found in results for value in found.values()]
    if not values:
        return NoData("there is no result")
    if len(values) > 1:
        return QueryFailed("the result has several values; select one", retriable=False)
    return number(values[0])
