"""Sends news to chats in the background: nobody waits for it, and what cannot be sent after a few tries is logged.

Knows HTTP, Secrets and where providers are found; not what is news.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import Canary
from rollout.api.errors import InvalidObject
from rollout.delivery.alerts.alert import Alert
from rollout.delivery.alerts.routes import Chat, NoChatError, Wish, chat_of, request_for, wishes
from rollout.delivery.hooks.caller import Secrets
from rollout.http.client import HttpClient, NoReplyError, Reply, Request
from rollout.kube.errors import KubeError
from rollout.kube.objects import Object

log = structlog.get_logger(__name__)

_TRIES = 3
_PAUSE_SECONDS = 1.0
_MOST_WAITING = 500


class AlertSender:
    """`chats` are the controller's own, for canaries without alerts of theirs."""

    def __init__(
        self,
        http: HttpClient,
        secrets: Secrets,
        providers: Callable[[str, str], Object | None],
        group: asyncio.TaskGroup,
        *,
        chats: tuple[Chat, ...] = (),
        cluster: str = "",
        own_namespace_only: bool = False,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._http, self._secrets, self._providers, self._group = http, secrets, providers, group
        self._chats, self._cluster, self._sleep = chats, cluster, sleep
        self._own_namespace_only = own_namespace_only
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, canary: Canary, alerts: Iterable[Alert]) -> None:
        """Begin, and answer at once."""
        for alert in alerts:
            if len(self._sending) >= _MOST_WAITING:
                log.error("alert dropped: too many are under way", message=alert.message)
                return
            task = self._group.create_task(self._try(canary, alert))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._sending:
            task.cancel()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def _try(self, canary: Canary, alert: Alert) -> None:
        try:
            await self._deliver(canary, alert)
        except Exception:  # one alert must end neither the others nor the process
            log.exception("alert not sent", canary=f"{canary.namespace}/{canary.name}")

    async def _deliver(self, canary: Canary, alert: Alert) -> None:
        if not canary.spec.analysis.alerts:
            for chat in self._chats:
                await self._post(chat, canary, alert)
            return
        for wish in wishes(canary, alert):
            try:
                chat = await self._chat(canary, wish)
            except (NoChatError, InvalidObject, KubeError) as error:
                where = f"Canary {canary.namespace}/{canary.name}: {wish.path}"
                log.error("alert not sent", alert=where, error=str(error))
            else:
                await self._post(chat, canary, alert)

    async def _chat(self, canary: Canary, wish: Wish) -> Chat:
        if self._own_namespace_only and wish.namespace != canary.namespace:
            raise NoChatError(f"providerRef: namespace {wish.namespace!r} is not the canary's")
        found = self._providers(wish.namespace, wish.provider)
        if found is None:
            name = f"{wish.namespace}/{wish.provider}"
            raise NoChatError(f"providerRef: there is no AlertProvider {name}; create it")
        provider = AlertProvider.parse(found)
        ref = provider.spec.secret_ref
        secret = None if ref is None else await self._secrets(provider.namespace, ref.name)
        return chat_of(provider, secret)

    async def _post(self, chat: Chat, canary: Canary, alert: Alert) -> None:
        request = request_for(chat, canary, alert, cluster=self._cluster)
        problem = ""
        for attempt in range(_TRIES):
            problem, again = await self._once(request)
            if not problem:
                return
            if not again:
                break
            if attempt + 1 < _TRIES:
                await self._sleep(_PAUSE_SECONDS * 2**attempt)
        log.error(
            "alert not sent",
            canary=f"{canary.namespace}/{canary.name}",
            chat=chat.type,
            error=problem,
        )

    async def _once(self, request: Request) -> tuple[str, bool]:
        """What went wrong, if anything did, and whether it may go better soon."""
        try:
            reply = await self._http.send(request)
        except NoReplyError as error:
            return str(error), True
        if reply.status < 300:
            return _slacks_no(reply), False
        return f"the answer is {reply.status}", reply.status == 429 or reply.status >= 500


def _slacks_no(reply: Reply) -> str:
    """Slack's API answers 200 to what it refuses, too, and says so in its JSON; everybody else says nothing of the kind."""
    try:
        said = json.loads(reply.body)
    except ValueError:
        return ""
    refused = isinstance(said, dict) and said.get("ok") is False
    return f"refused: {said.get('error', 'for no reason')}" if refused else ""
