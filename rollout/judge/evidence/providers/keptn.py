"""Keptn: the value of a KeptnMetric, or the verdict of an Analysis that is made for the query and removed after it.

The query is `keptnmetric/namespace/name` or `analysis/namespace/name/duration/key=value;…`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from typing import Any

from rollout.judge.checks import Answer, NoData, QueryFailed, Value
from rollout.judge.evidence.providers.cluster import ask_cluster, cluster_of, failed
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup
from rollout.kube.errors import KubeError

_API = "metrics.keptn.sh/v1beta1"
_ANALYSIS_SECONDS = 10.0
_POLL_SECONDS = 1.0
_DEFAULT_DURATION = "1m"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selector:
    kind: str
    namespace: str
    name: str
    duration: str = _DEFAULT_DURATION
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        plural = "analyses" if self.kind == "analysis" else "keptnmetrics"
        return f"/apis/{_API}/namespaces/{self.namespace}/{plural}"


class Keptn:
    """Needs neither address nor Secret; an analysis that passes is 1, one that fails is 0."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        cluster_of(setup)

    async def answer(self, query: str) -> Answer:
        """The metric's value or the analysis's verdict."""
        selector = _parse(query)
        if selector is None:
            return QueryFailed(
                f"{query!r} is neither keptnmetric/namespace/name nor"
                " analysis/namespace/name/duration/arguments",
                retriable=False,
            )
        if selector.kind == "keptnmetric":
            return await ask_cluster(self._setup, f"{selector.path}/{selector.name}", _metric_value)
        try:
            return await self._analyse(selector)
        except KubeError as error:
            return failed(self._setup, error)

    async def _analyse(self, selector: _Selector) -> Answer:
        client = cluster_of(self._setup)
        body = _analysis(selector, secrets.token_hex(3))
        path = f"{selector.path}/{body['metadata']['name']}"
        await client.request("POST", selector.path, body)
        try:
            async with asyncio.timeout(_ANALYSIS_SECONDS):
                while True:
                    status = (await client.request("GET", path)).get("status") or {}
                    if status.get("state") == "Completed" and "pass" in status:
                        return Value(float(bool(status["pass"])))
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return QueryFailed(
                f"keptn did not finish the analysis within {_ANALYSIS_SECONDS:g}s", retriable=True
            )
        finally:
            with contextlib.suppress(KubeError):
                await client.request("DELETE", path)


def _parse(query: str) -> _Selector | None:
    """Case does not count, nor does singular or plural, as in Flagger."""
    parts = query.strip().lower().split("/")
    kinds = {"keptnmetrics": "keptnmetric", "analyses": "analysis"}
    kind = kinds.get(parts[0], parts[0])
    if len(parts) < 3 or kind not in kinds.values() or not all(parts[1:3]):
        return None
    pairs = [pair.split("=") for pair in parts[4].split(";")] if len(parts) > 4 else []
    return _Selector(
        kind=kind,
        namespace=parts[1],
        name=parts[2],
        duration=parts[3] if len(parts) > 3 else _DEFAULT_DURATION,
        arguments={pair[0]: pair[1] for pair in pairs if len(pair) == 2},
    )


def _analysis(selector: _Selector, suffix: str) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "Analysis",
        "metadata": {"name": f"{selector.name}-{suffix}", "namespace": selector.namespace},
        "spec": {
            "analysisDefinition": {"name": selector.name},
            "timeframe": {"recent": selector.duration},
            "args": selector.arguments,
        },
    }


def _metric_value(obj: Any) -> Answer:
    value = (obj.get("status") or {}).get("value")
    return NoData("the KeptnMetric has no value yet") if value in {None, ""} else number(value)
