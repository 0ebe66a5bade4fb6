"""Each chat's message, from the same news: one function per kind of provider and one table of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from rollout.delivery.alerts.alert import Severity

_DEFAULT_USERNAME = "flagger"
_DEFAULT_CHANNEL = "general"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is said, and as whom in which channel where the chat lets that be chosen."""

    name: str
    namespace: str
    message: str
    severity: Severity
    fields: tuple[tuple[str, str], ...] = ()
    username: str = ""
    channel: str = ""

    @property
    def subject(self) -> str:
        """The canary as chats name it."""
        return f"{self.name}.{self.namespace}"


def slack(news: News) -> object:
    """Slack's message with an attachment; red from errors on."""
    return _attachment(news, "danger" if news.severity is Severity.ERROR else "good")


def rocket(news: News) -> object:
    """Rocket.Chat reads Slack's form, with colours of its own."""
    return _attachment(news, "#FF0000" if news.severity is Severity.ERROR else "#0076D7")


def teams(news: News) -> object:
    """A Teams workflow's message: an adaptive card, since the connectors that took message cards are gone."""
    colour = {Severity.ERROR: "attention", Severity.WARN: "warning", Severity.INFO: "good"}
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": news.subject, "weight": "bolder", "size": "medium"},
        {"type": "TextBlock", "text": news.message, "wrap": True, "color": colour[news.severity]},
    ]
    if news.fields:
        facts = [{"title": name, "value": value} for name, value in news.fields]
        body.append({"type": "FactSet", "facts": facts})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": f"{news.subject}: {news.message}",
        "msteams": {"width": "Full"},
        "body": body,
    }
    content_type = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": content_type, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def gchat(news: News) -> object:
    """Google Chat's card."""
    lines = [_strong(news.message)]
    lines += [f"{escape(name)}<br>{_strong(value)}" for name, value in news.fields]
    sections = [{"widgets": [{"textParagraph": {"text": line}}]} for line in lines]
    header = {"title": "Flagger", "subtitle": news.subject}
    return {"cards": [{"header": header, "sections": sections}]}


def generic(news: News) -> object:
    """Plain JSON for whoever else listens."""
    return {
        "name": news.name,
        "namespace": news.namespace,
        "message": news.message,
        "severity": news.severity.word,
        "fields": dict(news.fields),
    }


PAYLOADS: Mapping[str, Callable[[News], object]] = {
    "slack": slack,
    "discord": slack,  # its hooks take Slack's form below /slack
    "rocket": rocket,
    "msteams": teams,
    "gchat": gchat,
    "webhook": generic,
}
"""The messages by the `type` of an AlertProvider."""


def body_for(type_: str, news: News) -> bytes:
    """The message to POST, as JSON."""
    return json.dumps(PAYLOADS[type_](news), ensure_ascii=False).encode()


def _attachment(news: News, color: str) -> object:
    return {
        "channel": news.channel or _DEFAULT_CHANNEL,
        "username": news.username or _DEFAULT_USERNAME,
        "icon_emoji": ":rocket:",
        "attachments": [
            {
                "color": color,
                "author_name": news.subject,
                "text": news.message,
                "mrkdwn_in": ["text"],
                "fields": [
                    {"title": name, "value": value, "short": False} for name, value in news.fields
                ],
            }
        ],
    }


def _strong(text: str) -> str:
    return f"<font color=#848484><strong>{escape(text)}</strong></font>"
