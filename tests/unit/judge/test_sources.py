"""A check finds its way: to the mesh's Prometheus, or to a template's provider with its Secret."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta

from rollout.api.kinds import SECRET
from rollout.delivery.secrets import decoded
from rollout.http.client import HttpClient
from rollout.judge.checks import Answer, Check, QueryFailed, Source, Value
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.evidence.providers.setup import World
from rollout.judge.evidence.providers.tokens import Tokens
from rollout.judge.evidence.sources import Sources
from rollout.judge.thresholds import Bounds, Measure
from rollout.kube.errors import Forbidden
from tests.unit.http.server import reply, server
from tests.unit.judge.providers.support import NOW

_SOURCE = Source(
    type="datadog",
    namespace="shop",
    template="queue",
    window=timedelta(minutes=1),
    secret="creds",
)
_KEYS = {"datadog_api_key": "k", "datadog_application_key": "k"}


async def _answer(address: str, secret: Mapping[str, str] | None, *, mesh: bool = False) -> Answer:
    async def secrets(namespace: str, name: str) -> Mapping[str, str] | None:
        assert (namespace, name) == ("shop", "creds")
        if secret == {}:
            raise Forbidden("secrets is forbidden", status=403)
        return secret

    source = Source(**{**{n: getattr(_SOURCE, n) for n in _SOURCE.__slots__}, "address": address})
    check = Check(
        metric="queue",
        measure=Measure.CUSTOM,
        query="q",
        bounds=Bounds(max=1),
        address=address,
        field="spec.analysis.metrics[0].templateRef",
        source=None if mesh else source,
    )
    async with HttpClient() as http:
        world = World(http=http, tokens=Tokens(), now=lambda: NOW, environment={})
        prometheus = Prometheus()
        try:
            return await Sources(prometheus, secrets, world).answer(check)
        finally:
            prometheus.close()


async def test_each_check_is_made_where_it_belongs() -> None:
    data = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "3"]}]}
    both = reply({"series": [{"pointlist": [[1, 2.5]]}], "status": "success", "data": data})
    with server(lambda _: both) as running:
        assert await _answer(running.address, _KEYS) == Value(2.5)
        assert running.seen[-1].headers["dd-api-key"] == "k"
        assert await _answer(running.address, None, mesh=True) == Value(3.0)
        assert "dd-api-key" not in running.seen[-1].headers


async def test_a_secret_that_is_not_had_is_named() -> None:
    where = "MetricTemplate shop/queue: spec.provider.secretRef: Secret shop/creds"
    assert await _answer("http://x", None) == QueryFailed(
        f"{where} is not there; create it", retriable=False
    )
    forbidden = await _answer("http://x", {})
    assert isinstance(forbidden, QueryFailed)
    assert forbidden.reason.startswith(f"{where} is not had: ")


async def test_a_configuration_can_be_tried_without_asking() -> None:
    async def secrets(namespace: str, name: str) -> Mapping[str, str] | None:
        return {"datadog_api_key": "k"} if (namespace, name) == ("shop", "creds") else None

    async with HttpClient() as http:
        world = World(http=http, tokens=Tokens(), now=lambda: NOW, environment={})
        failed = await Sources(Prometheus(), secrets, world).configured(_SOURCE)
    assert failed is not None
    assert "Secret shop/creds has no key datadog_application_key" in failed.reason


def test_secrets_are_texts() -> None:
    data = {
        "a": base64.b64encode(b"text").decode(),
        "b": base64.b64encode(b"\xff\xfe").decode(),
        "c": "not base64!",
    }
    assert decoded({"kind": SECRET.kind, "data": data}) == {"a": "text"}
    assert decoded({"kind": SECRET.kind}) == {}
