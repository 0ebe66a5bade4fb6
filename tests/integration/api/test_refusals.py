"""What people are told when they apply a Canary that cannot work: everything at once, by the chart's own webhook."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.api.kinds import CANARY, MUTATING_WEBHOOK
from rollout.delivery.webhook import validate
from rollout.install.chartfuncs import render_chart
from rollout.kube.admission import AdmissionServer
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.errors import Forbidden, Invalid, KubeError
from rollout.kube.objects import Key, Object
from rollout.kube.serving import listen
from rollout.kube.webhook_tls import WebhookNames, WebhookTLS
from tests.integration.crds import install_crds
from tests.integration.kube.support import QUICK, background, running
from tests.unit.api.samples import BOOK, with_change

CHART = Path(__file__).parents[3] / "charts/rollout/templates"


def webhook_configuration(namespace: str, port: int) -> Object:
    """The chart's, for one namespace, served from here."""
    files = {
        name: (CHART / name).read_text() for name in ("_helpers.tpl", "controller/webhook.yaml")
    }
    data = {
        "Release": {"Name": "rollout", "Namespace": namespace, "Service": "test"},
        "Chart": {"AppVersion": "0"},
        "Values": {"chaos": {"enabled": False}},
    }
    made: Object = yaml.safe_load(render_chart(files, data)["controller/webhook.yaml"])
    made["metadata"]["name"] = namespace
    for webhook in made["webhooks"]:
        webhook["clientConfig"] = {"url": f"https://localhost:{port}/validate"}
        webhook["failurePolicy"] = "Fail"
        webhook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return made


@pytest.fixture
async def guarded(client: Client, namespace: str) -> AsyncIterator[Client]:
    await install_crds(client)
    sock = listen("127.0.0.1", 0)
    cache = Cache(client, timing=QUICK)
    names = WebhookNames(
        secret=Key(namespace, "tls"), dns_names=("localhost",), mutating=(namespace,)
    )
    routes = {"/validate": lambda request: validate(request, timedelta(seconds=10))}
    server = AdmissionServer(WebhookTLS(client, cache, names), routes, sock=sock)
    await client.create(MUTATING_WEBHOOK, webhook_configuration(namespace, sock.getsockname()[1]))
    async with running(cache), background(server.run()):
        yield client


async def applied(client: Client, namespace: str, canary: Object) -> Object:
    """Create it, as soon as the API server trusts the webhook."""
    canary = copy.deepcopy(canary)
    canary["metadata"]["namespace"] = namespace
    async with asyncio.timeout(20):
        while True:
            try:
                return await client.create(CANARY, canary)
            except KubeError as error:
                if "failed calling webhook" not in error.message:
                    raise
            await asyncio.sleep(0.1)


async def test_a_misspelt_key_is_named_with_what_is_missing_because_of_it(
    guarded: Client, namespace: str
) -> None:
    def spoil(spec: Any) -> None:
        spec["analysis"]["stepWieght"] = spec["analysis"].pop("stepWeight")
        spec["analysis"]["interval"] = "soon"
        del spec["service"]["port"]

    with pytest.raises((Invalid, Forbidden)) as refused:
        await applied(guarded, namespace, with_change(BOOK, spoil))
    assert (
        f"Canary {namespace}/catalog-release: "
        "spec.analysis.stepWieght: unknown field (did you mean stepWeight?); "
        "spec.service.port: is required (add it); "
        "spec.analysis.interval: 'soon' is not a duration (write it like 500ms, 30s, 1m or 1m30s)"
    ) in refused.value.message


async def test_a_query_that_does_not_parse(guarded: Client, namespace: str) -> None:
    def spoil(spec: Any) -> None:
        spec["analysis"]["metrics"][0]["query"] = "up{app={{ taget }}}"

    with pytest.raises(
        (Invalid, Forbidden), match=r"metrics\[0\].query: does not parse at line 1, column 11"
    ):
        await applied(guarded, namespace, with_change(BOOK, spoil))


async def test_what_was_stored_before_stays_free_to_go(guarded: Client, namespace: str) -> None:
    """An object that is invalid by now loses its finalizers all the same."""
    stored = await applied(guarded, namespace, BOOK)
    assert stored["spec"] == BOOK["spec"]
    stored["metadata"]["labels"] = {"team": "web"}
    assert (await guarded.replace(CANARY, stored))["metadata"]["labels"] == {"team": "web"}
