"""AWS CloudWatch: GetMetricData with the queries that the template lists, the first value of the first result.

The call is signed here, with whatever credentials the controller's environment has.
"""

from __future__ import annotations

import json
from typing import Any

from rollout.http.client import NoReplyError, Reply, Request
from rollout.judge.checks import Answer, NoData, QueryFailed
from rollout.judge.evidence.providers.aws import credentials
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup
from rollout.judge.evidence.providers.sigv4 import signed_headers

_WINDOWS = 10
_MOST_POINTS = 20
_TARGET = "GraniteServiceVersion20100801.GetMetricData"


class CloudWatch:
    """Needs `region`; the query is a JSON list of metric data queries, over the last ten intervals."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        if not setup.source.region:
            raise setup.misconfigured("region", "is missing", "name the region, as in eu-west-1")
        self._url = setup.address(f"https://monitoring.{setup.source.region}.amazonaws.com") + "/"

    async def answer(self, query: str) -> Answer:
        """The newest value of the first result."""
        try:
            queries = _in_pascal_case(json.loads(query))
        except ValueError as error:
            return QueryFailed(f"the query is not JSON: {error}", retriable=False)
        if not isinstance(queries, list):
            return QueryFailed("the query is not a JSON list", retriable=False)
        try:
            request = await self._request(queries)
        except NoReplyError as error:
            return QueryFailed(f"no AWS credentials are had: {error}", retriable=True)
        return await self._setup.ask(request, _read)

    async def _request(self, queries: list[Any]) -> Request:
        now = self._setup.world.now()
        asked = {
            "StartTime": (now - _WINDOWS * self._setup.window).timestamp(),
            "EndTime": now.timestamp(),
            "MaxDatapoints": _MOST_POINTS,
            "MetricDataQueries": queries,
        }
        body = json.dumps(asked).encode()
        headers = signed_headers(
            method="POST",
            url=self._url,
            headers=(("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", _TARGET)),
            body=body,
            credentials=await credentials(self._setup),
            region=self._setup.source.region,
            service="monitoring",
            now=now,
        )
        return Request(
            method="POST",
            url=self._url,
            headers=headers,
            body=body,
            verify=self._setup.source.verify,
        )


def _in_pascal_case(value: Any) -> Any:
    """Go reads `metricStat` as `MetricStat`, so templates may have either."""
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: _in_pascal_case(inner) for key, inner in value.items()}
    return [_in_pascal_case(inner) for inner in value] if isinstance(value, list) else value


def _read(reply: Reply) -> Answer:
    results = json.loads(reply.body).get("MetricDataResults") or []
    values = results[0].get("Values") if results else []
    return number(values[0]) if values else NoData("the first result has no value")
