"""Kubernetes' external metrics API: the first item of one metric, from the cluster or from the adapter itself.

The query is `namespace/metric?labelSelector=…`, where only the metric is required.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote

from rollout.http.client import Reply, Request
from rollout.judge.checks import Answer, NoData, QueryFailed, Value
from rollout.judge.evidence.providers.cluster import ask_cluster
from rollout.judge.evidence.providers.setup import Setup

_ROOT = "/apis/external.metrics.k8s.io/v1beta1/namespaces"
_SUFFIXES = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


class ExternalMetrics:
    """With an address, that server is asked, with the Secret's `token` where there is one; else the cluster."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    async def answer(self, query: str) -> Answer:
        """The first item's value."""
        asked = _asked(query)
        if asked is None:
            return QueryFailed(
                f"{query!r} is not of the form namespace/metric?labelSelector=…", retriable=False
            )
        path, params = asked
        if not self._setup.source.address:
            return await ask_cluster(self._setup, path, _read, dict(params))
        token = (self._setup.secret or {}).get("token", "").strip()
        own = (("Authorization", f"Bearer {token}"),) if token else ()
        request = Request(
            url=self._setup.address() + path,
            headers=self._setup.headers(*own),
            params=params,
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, lambda reply: _read(_json(reply)))


def _json(reply: Reply) -> Any:
    return json.loads(reply.body)


def _asked(query: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    where, _, rest = query.strip().partition("?")
    parts = where.split("/")
    namespace = parts[0] if len(parts) == 2 and parts[0] else "default"
    if len(parts) > 2 or not parts[-1]:
        return None
    selector = dict(parse_qsl(rest)).get("labelSelector")
    path = f"{_ROOT}/{quote(namespace, safe='')}/{quote(parts[-1], safe='')}"
    return path, ((("labelSelector", selector),) if selector else ())


def _read(answered: Any) -> Answer:
    items = answered["items"]
    return Value(quantity(items[0]["value"])) if items else NoData("there is no such metric")


def quantity(text: str) -> float:
    """A Kubernetes quantity, as in `1500m`, `2Ki` or `1e3`. Raises ValueError."""
    for length in (2, 1):
        if text[-length:] in _SUFFIXES:
            return float(text[:-length]) * _SUFFIXES[text[-length:]]
    return float(text)
