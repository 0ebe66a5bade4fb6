"""Where news goes: a canary's own alerts take the place of the controller's chats, each with its least severity. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import Canary
from rollout.delivery.alerts.alert import Alert, Severity, fields_of
from rollout.delivery.alerts.payloads import News, body_for
from rollout.http.client import Request

SIGNATURE_HEADER = "X-Rollout-Signature-256"
"""`sha256=` and the hexadecimal HMAC-SHA256 of the body, where an alert provider of type webhook has a `signingKey`."""
_SLACK_API = "https://slack.com/api/chat.postMessage"
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A canary's alert: the provider that it names, and the least severity."""

    namespace: str
    provider: str
    least: Severity
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A place that news can be sent to."""

    type: str
    address: str = field(repr=False)
    token: str = field(default="", repr=False)
    signing_key: str = field(default="", repr=False)
    username: str = ""
    channel: str = ""
    proxy: str = field(default="", repr=False)


class NoChatError(Exception):
    """An AlertProvider does not say where news goes; `str()` names it, the field and the remedy."""


def wishes(canary: Canary, alert: Alert) -> tuple[Wish, ...]:
    """The canary's alerts that want to hear this."""
    found = tuple(
        Wish(
            namespace=each.provider_ref.namespace or canary.namespace,
            provider=each.provider_ref.name,
            least=Severity.parse(each.severity),
            path=f"spec.analysis.alerts[{index}]",
        )
        for index, each in enumerate(canary.spec.analysis.alerts)
    )
    return tuple(wish for wish in found if alert.severity >= wish.least)


def chat_of(provider: AlertProvider, secret: Mapping[str, str] | None) -> Chat:
    """The provider with what its Secret adds; `secret` is None where the named Secret is not there."""
    spec = provider.spec
    where = f"AlertProvider {provider.namespace}/{provider.name}: spec.secretRef"
    values: Mapping[str, str] = {}
    if spec.secret_ref is not None:
        name = f"{provider.namespace}/{spec.secret_ref.name}"
        if secret is None:
            raise NoChatError(f"{where}: there is no Secret {name}; create it")
        values = secret
        if "address" not in values and not (spec.type == "slack" and "token" in values):
            raise NoChatError(f"{where}: Secret {name} has no key address; add it")
    return Chat(
        type=spec.type,
        address=values.get("address", spec.address or _SLACK_API).strip(),
        token=values.get("token", "").strip(),
        signing_key=values.get("signingKey", "").strip(),
        username=spec.username or "",
        channel=spec.channel or "",
        proxy=spec.proxy or "",
    )


def request_for(chat: Chat, canary: Canary, alert: Alert, *, cluster: str = "") -> Request:
    """The POST that brings one piece of news to one chat."""
    news = News(
        name=canary.name,
        namespace=canary.namespace,
        message=alert.message,
        severity=alert.severity,
        fields=_fields(canary, alert, cluster),
        username=chat.username,
        channel=chat.channel,
    )
    body = body_for(chat.type, news)
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    if chat.token:
        headers = (*headers, ("Authorization", f"Bearer {chat.token}"))
    if chat.signing_key:
        signature = hmac.new(chat.signing_key.encode(), body, hashlib.sha256).hexdigest()
        headers = (*headers, (SIGNATURE_HEADER, f"sha256={signature}"))
    return Request(
        method="POST",
        url=_slack_form(chat.address) if chat.type == "discord" else chat.address,
        headers=headers,
        body=body,
        timeout=_TIMEOUT_SECONDS,
        proxy=chat.proxy,
    )


def _fields(canary: Canary, alert: Alert, cluster: str) -> tuple[tuple[str, str], ...]:
    if alert.details:
        return fields_of(canary, cluster=cluster)
    return (("Cluster", cluster),) if cluster else ()


def _slack_form(address: str) -> str:
    parts = urlsplit(address)
    if parts.path.endswith("/slack"):
        return address
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/slack"))
