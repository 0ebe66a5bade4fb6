"""InfluxDB: Flux where there is an organisation, InfluxQL where the query is a SELECT, which 1.x servers answer, too.

Of Flux the first record counts, as in Flagger; of InfluxQL the last column of the last row.
"""

from __future__ import annotations

import csv
import io
import json

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer, NoData, QueryFailed
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup

_TIMEOUT_SECONDS = 15.0
_NUMBERS = frozenset({"double", "long", "unsignedLong"})


class InfluxDB:
    """Secret keys: `token` and `org` for Flux; `username`, `password` and `database`, each optional, for InfluxQL."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._address = setup.address()

    async def answer(self, query: str) -> Answer:
        """The query's number."""
        if query.lstrip("( ")[:7].upper() == "SELECT ":
            return await self._setup.ask(self._influxql(query), _read_influxql)
        return await self._setup.ask(self._flux(query), _read_flux)

    def _flux(self, query: str) -> Request:
        setup = self._setup
        own: tuple[tuple[str, str], ...] = ()
        org = ""
        if setup.secret is not None:
            own = (("Authorization", f"Token {setup.require('token')}"),)
            org = setup.require("org")
        dialect = {"annotations": ["datatype", "group", "default"], "header": True}
        return Request(
            method="POST",
            url=f"{self._address}/api/v2/query",
            headers=setup.headers(
                ("Content-Type", "application/json"), ("Accept", "application/csv"), *own
            ),
            params=(("org", org),),
            body=json.dumps({"query": query, "type": "flux", "dialect": dialect}).encode(),
            timeout=_TIMEOUT_SECONDS,
            verify=setup.source.verify,
        )

    def _influxql(self, query: str) -> Request:
        secret = self._setup.secret or {}
        username = secret.get("username")
        own = (("Authorization", f"Token {secret['token']}"),) if "token" in secret else ()
        return Request(
            url=f"{self._address}/query",
            headers=self._setup.headers(*own),
            params=(("q", query), *((("db", secret["database"]),) if "database" in secret else ())),
            basic=(username, self._setup.require("password")) if username else None,
            timeout=_TIMEOUT_SECONDS,
            verify=self._setup.source.verify,
        )


def _read_influxql(reply: Reply) -> Answer:
    result = json.loads(reply.body)["results"][0]
    if "error" in result:
        return QueryFailed(f"influxdb refuses the query: {result['error']}", retriable=False)
    series = result.get("series")
    return number(series[-1]["values"][-1][-1]) if series else NoData("no series has a point")


def _read_flux(reply: Reply) -> Answer:
    """Annotated CSV: `#datatype` and its kin, a header, records; each table begins anew after an empty line."""
    types: list[str] = []
    header: list[str] = []
    for row in csv.reader(io.StringIO(reply.text)):
        if not row:
            header = []
        elif row[0] == "#datatype":
            types, header = row, []
        elif row[0].startswith("#"):
            continue
        elif not header:
            header = row
        else:
            return _record(header, types, row)
    return NoData("no table has a record")


def _record(header: list[str], types: list[str], row: list[str]) -> Answer:
    if "error" in header:
        message = row[header.index("error")]
        return QueryFailed(f"influxdb refuses the query: {message}", retriable=False)
    at = header.index("_value")
    if types and types[at] not in _NUMBERS:
        return QueryFailed(f"_value is a {types[at]}, not a number", retriable=False)
    return number(row[at] or None)
