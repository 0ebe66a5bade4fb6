"""Alerts: who hears what, in which form, signed, and once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import Canary
from rollout.delivery.alerts.alert import Alert, Severity
from rollout.delivery.alerts.payloads import PAYLOADS
from rollout.delivery.alerts.routes import (
    SIGNATURE_HEADER,
    Chat,
    NoChatError,
    chat_of,
    request_for,
    wishes,
)
from rollout.delivery.alerts.sender import AlertSender
from rollout.http.client import HttpClient
from tests.unit.delivery.world import canary
from tests.unit.http.server import Server, reply, server

FAILED = Alert("Failed checks threshold reached 2", Severity.ERROR)
NEW = Alert("New revision detected, progressing canary analysis.", Severity.INFO, details=True)


def parsed(*alerts: dict[str, Any]) -> Canary:
    return Canary.parse(canary(analysis={"alerts": list(alerts)}))


def provider(type_: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "AlertProvider",
        "metadata": {"name": "chat", "namespace": "shop"},
        "spec": {"type": type_, **spec},
    }


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        (None, "info warn error"),
        ("", "info warn error"),
        ("info", "info warn error"),
        ("warn", "warn error"),
        ("error", "error"),
    ],
)
def test_severities(wanted: str | None, heard: str) -> None:
    alert = {"name": "a", "severity": wanted, "providerRef": {"name": "chat"}}
    spoken = parsed({key: value for key, value in alert.items() if value is not None})
    got = [each.word for each in Severity if wishes(spoken, Alert("x", each))]
    assert " ".join(got) == heard


def _body(type_: str, alert: Alert, **chat: str) -> Any:
    made = Chat(type=type_, address="https://chat/hook", **chat)
    return json.loads(request_for(made, parsed(), alert, cluster="c1").body)


_FIELDS = {
    "Cluster": "c1",
    "Target": "Deployment/catalog.shop",
    "Failed checks threshold": "5",
    "Progress deadline": "60s",
    "Traffic routing": "Weight step: 10 max: 50",
}


def test_slack() -> None:
    assert _body("slack", NEW, channel="ops", username="ro") == {
        "channel": "ops",
        "username": "ro",
        "icon_emoji": ":rocket:",
        "attachments": [
            {
                "color": "good",
                "author_name": "catalog-release.shop",
                "text": NEW.message,
                "mrkdwn_in": ["text"],
                "fields": [
                    {"title": name, "value": value, "short": False}
                    for name, value in _FIELDS.items()
                ],
            }
        ],
    }
    failed = _body("slack", FAILED)
    assert (failed["channel"], failed["username"]) == ("general", "flagger")
    assert failed["attachments"][0]["color"] == "danger"


def test_rocket_has_colours_of_its_own() -> None:
    colors = [_body("rocket", each)["attachments"][0]["color"] for each in (NEW, FAILED)]
    assert colors == ["#0076D7", "#FF0000"]


def test_teams_gets_an_adaptive_card() -> None:
    body = _body("msteams", NEW)
    (attachment,) = body["attachments"]
    assert body["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    title, text, facts = attachment["content"]["body"]
    assert (title["text"], text["text"]) == ("catalog-release.shop", NEW.message)
    assert {fact["title"]: fact["value"] for fact in facts["facts"]} == _FIELDS


def test_google_chat() -> None:
    sections = _body("gchat", Alert("a < b", Severity.WARN))["cards"][0]["sections"]
    texts = [section["widgets"][0]["textParagraph"]["text"] for section in sections]
    assert texts[0] == "<font color=#848484><strong>a &lt; b</strong></font>"
    assert texts[1].startswith("Cluster<br>")


def test_discord_takes_slacks_form_below_slack() -> None:
    for address in ("https://discord/api/webhooks/1/x", "https://discord/api/webhooks/1/x/slack"):
        request = request_for(Chat(type="discord", address=address), parsed(), NEW)
        assert request.url == "https://discord/api/webhooks/1/x/slack"


def test_a_generic_webhook_is_signed() -> None:
    chat = Chat(type="webhook", address="https://x", signing_key="s3cret")
    request = request_for(chat, parsed(), FAILED)
    signature = hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
    assert dict(request.headers)[SIGNATURE_HEADER] == f"sha256={signature}"
    assert "s3cret" not in repr(chat) + repr(request)


def test_every_kind_of_provider_has_a_form() -> None:
    schema = AlertProvider.model_json_schema()
    assert set(schema["$defs"]["AlertProviderSpec"]["properties"]["type"]["enum"]) == set(PAYLOADS)


@pytest.mark.parametrize(
    ("type_", "secret", "expected"),
    [
        ("slack", {"address": "https://s\n", "token": "t"}, ("https://s", "t")),
        ("slack", {"token": "t"}, ("https://slack.com/api/chat.postMessage", "t")),
        ("gchat", {}, "Secret shop/creds has no key address"),
        ("gchat", None, "there is no Secret shop/creds"),
    ],
)
def test_secrets_of_providers(
    type_: str, secret: Mapping[str, str] | None, expected: tuple[str, str] | str
) -> None:
    made = AlertProvider.parse(provider(type_, secretRef={"name": "creds"}))
    if isinstance(expected, str):
        with pytest.raises(NoChatError, match=expected):
            chat_of(made, secret)
    else:
        chat = chat_of(made, secret)
        assert (chat.address, chat.token) == expected


async def _sent(
    spoken: Canary,
    objects: Callable[[Server], dict[str, Any]],
    statuses: list[int],
    chats: Callable[[Server], tuple[Chat, ...]] = lambda _: (),
    body: bytes = b"ok",
) -> tuple[Server, list[float]]:
    pauses: list[float] = []

    async def secrets(*_: str) -> None:
        return None

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with server(lambda _: reply(body, statuses.pop(0))) as running:
        found = objects(running)
        async with HttpClient() as http, asyncio.TaskGroup() as group:
            sender = AlertSender(
                http,
                secrets,
                lambda namespace, name: found.get(f"{namespace}/{name}"),
                group,
                chats=chats(running),
                sleep=sleep,
            )
            sender.send(spoken, (FAILED,))
            await sender.idle()
        return running, pauses


_ALERT = {"name": "a", "providerRef": {"name": "chat"}}


def _chat(running: Server) -> dict[str, Any]:
    return {"shop/chat": provider("slack", address=f"{running.address}/own")}


def _everywhere(running: Server) -> tuple[Chat, ...]:
    return (Chat(type="slack", address=f"{running.address}/everywhere"),)


async def test_a_canarys_own_alerts_take_the_place_of_the_controllers() -> None:
    running, _ = await _sent(parsed(_ALERT), _chat, [200], _everywhere)
    assert [seen.path for seen in running.seen] == ["/own"]
    running, _ = await _sent(parsed(), _chat, [200], _everywhere)
    assert [seen.path for seen in running.seen] == ["/everywhere"]


@pytest.mark.parametrize(
    ("statuses", "tries"), [([503, 200], 2), ([500, 429, 500], 3), ([404], 1), ([302], 1)]
)
async def test_a_few_tries(statuses: list[int], tries: int) -> None:
    with capture_logs() as logs:
        running, pauses = await _sent(parsed(_ALERT), _chat, list(statuses))
    assert len(running.seen) == tries
    assert pauses == [1.0, 2.0][: tries - 1]
    assert bool(logs) is (statuses[-1] != 200)


async def test_slacks_api_may_refuse_with_200() -> None:
    refusal = b'{"ok":false,"error":"channel_not_found"}'
    with capture_logs() as logs:
        running, _ = await _sent(parsed(_ALERT), _chat, [200], body=refusal)
    assert len(running.seen) == 1
    assert logs[0]["error"] == "refused: channel_not_found"


async def test_a_missing_provider_is_named() -> None:
    with capture_logs() as logs:
        await _sent(parsed(_ALERT), lambda _: {}, [])
    assert logs[0]["alert"] == "Canary shop/catalog-release: spec.analysis.alerts[0]"
    assert logs[0]["error"] == "providerRef: there is no AlertProvider shop/chat; create it"
