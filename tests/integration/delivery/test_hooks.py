"""Hooks, MetricTemplates and alerts with the whole controller on a real API server, gates by the load tester itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rollout.api.kinds import ALERT_PROVIDER, CANARY, DEPLOYMENT, METRIC_TEMPLATE, SECRET, Kind
from rollout.kube.objects import Object
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment
from tests.unit.http.server import Answered, Seen, Server, reply, server
from tests.unit.loadtester.test_app import serving
from tests.waiting import until

VALUE = {"series": [{"pointlist": [[1, 0.5], [2, 9.0]]}]}


@pytest.fixture
def outside() -> Iterator[Server]:
    """Datadog, Slack and a place for events at once."""

    def answer(seen: Seen) -> Answered:
        return reply(VALUE if seen.path.startswith("/api") else {})

    with server(answer) as running:
        yield running


@pytest.fixture
def metrics_server() -> str:
    """None: Datadog is asked instead."""
    return "http://127.0.0.1:1"


@pytest.fixture
async def lab(lab: Lab, outside: Server) -> Lab:
    lab.options = replace(lab.options, event_webhook=f"{outside.address}/events")
    return lab


def _secret(name: str, **values: str) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": name}, "data": data}


async def _apply(lab: Lab, outside: Server, hooks: list[Object]) -> None:
    flagger = {"apiVersion": "flagger.app/v1beta1"}
    provider = {"type": "datadog", "address": outside.address, "secretRef": {"name": "datadog"}}
    metric = {"name": "queue", "templateRef": {"name": "queue"}, "thresholdRange": {"max": 1}}
    analysis = {
        "interval": "1s",
        "threshold": 2,
        "stepWeight": 25,
        "metrics": [metric],
        "webhooks": hooks,
        "alerts": [{"name": "ops", "severity": "info", "providerRef": {"name": "chat"}}],
    }
    objects: tuple[tuple[Kind, Object], ...] = (
        (SECRET, _secret("datadog", datadog_api_key="dd", datadog_application_key="app")),
        (SECRET, _secret("chat", address=f"{outside.address}/slack")),
        (
            METRIC_TEMPLATE,
            {
                **flagger,
                "kind": METRIC_TEMPLATE.kind,
                "metadata": {"name": "queue"},
                "spec": {"provider": provider, "query": "avg:queue{app:{{ target }}}"},
            },
        ),
        (
            ALERT_PROVIDER,
            {
                **flagger,
                "kind": ALERT_PROVIDER.kind,
                "metadata": {"name": "chat"},
                "spec": {"type": "slack", "secretRef": {"name": "chat"}},
            },
        ),
        (DEPLOYMENT, deployment()),
        (CANARY, canary(analysis=analysis)),
    )
    for kind, obj in objects:
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)


async def test_gates_open_and_a_template_decides(lab: Lab, outside: Server) -> None:
    async with serving() as tester, lab.controller():

        async def move(gate: str) -> None:
            payload = {"name": "catalog-release", "namespace": lab.namespace}
            assert (await tester.post(gate, json.dumps(payload).encode())).status == 202

        def hook(type_: str, gate: str) -> Object:
            return {"name": type_, "type": type_, "url": f"{tester.address}{gate}"}

        hooks = [
            hook("confirm-rollout", "/gate/check"),
            hook("rollback", "/rollback/check"),
            hook("post-rollout", "/gate/approve"),
        ]
        await _apply(lab, outside, hooks)
        await lab.phase("Initialized")
        available = "all the metrics providers are available!"
        await until(lambda: _heard(lab, available), "that the template's provider is configured")
        await lab.new_image("catalog:2")
        await lab.phase("Waiting")
        await move("/gate/open")
        await lab.phase("Succeeded")
        assert lab.shown[2:] == [
            ("Waiting", 0),
            *(("Progressing", weight) for weight in (0, 25, 50)),
            ("Promoting", 0),
            ("Finalising", 0),
            ("Succeeded", 0),
        ]
        asked = [seen for seen in outside.seen if seen.path == "/api/v1/query"]
        assert asked[0].params["query"] == "avg:queue{app:catalog}"
        assert asked[0].headers["dd-api-key"] == "dd"

        await lab.new_image("catalog:3")
        await until(lambda: ("Progressing", 25) in lab.shown[-1:], "the next one's first step")
        await move("/rollback/open")
        status = await lab.phase("Failed")
        assert status["canaryWeight"] == 0
        await until(lambda: _alerts(outside)[-1:] == [_ROLLED_BACK], "its alert")
        await until(lambda: _told(lab), "what post-rollout hooks came to")

    assert _alerts(outside) == [
        "New Deployment detected, initialization completed.",
        "Canary is waiting for approval.",
        "New revision detected, progressing canary analysis.",
        "Canary analysis completed successfully, promotion finished.",
        "New revision detected, progressing canary analysis.",
        _ROLLED_BACK,
    ]
    events = [seen.json["metadata"] for seen in outside.seen if seen.path == "/events"]
    messages = {event["eventMessage"] for event in events}
    assert f"Rolling back catalog-release.{lab.namespace} manual webhook invoked" in messages
    assert {event["eventType"] for event in events} == {"Normal", "Warning"}


_ROLLED_BACK = "Rolling back manual webhook invoked"


def _alerts(outside: Server) -> list[str]:
    sent = [seen.json for seen in outside.seen if seen.path == "/slack"]
    return [message["attachments"][0]["text"] for message in sent]


async def _heard(lab: Lab, message: str) -> bool:
    return message in await lab.events()


async def _told(lab: Lab) -> bool:
    conditions = (await lab.status()).get("conditions") or ()
    return any(c["type"] == "PostRollout" and c["status"] == "True" for c in conditions)
