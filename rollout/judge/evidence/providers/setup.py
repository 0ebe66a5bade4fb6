"""What a metric provider is made from: the template's `provider` as written, its Secret, and the ways to the world.

Secrets are read here and nowhere shown: no representation holds one, and what a server says is cleared of them.
Knows no provider in particular.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from rollout.http.client import HttpClient, NoReplyError, Reply, Request
from rollout.judge.checks import Answer, QueryFailed, Source
from rollout.judge.evidence.providers.tokens import Tokens
from rollout.kube.client import Client

_LONGEST_QUOTE = 300
_HIDDEN = "***"
_SHORTEST_SECRET = (
    4  # a shorter value is an account's number or the like, and would hide half of every text
)


class MisconfiguredError(Exception):
    """A provider cannot be asked as it is configured; `str()` names the object, the field and the remedy."""


class Provider(Protocol):
    """Someone who answers queries. Whatever goes wrong is an answer, except a wrong configuration."""

    async def answer(self, query: str) -> Answer:
        """The query's value. May raise MisconfiguredError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ways to the world that providers share: HTTP, tokens that outlive a query, the clock, the cluster."""

    http: HttpClient
    tokens: Tokens
    now: Callable[[], datetime]
    environment: Mapping[str, str] = field(repr=False)
    kube: Client | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One provider's configuration; `secret` is None where the template names none."""

    source: Source
    secret: Mapping[str, str] | None = field(repr=False)
    world: World

    @property
    def window(self) -> timedelta:
        """The metric's interval."""
        return self.source.window

    def misconfigured(self, path: str, reason: str, remedy: str) -> MisconfiguredError:
        """The error about one field of the template's provider, an empty `path` for the provider itself."""
        where = f"spec.provider.{path}" if path else "spec.provider"
        return MisconfiguredError(f"{self.source.name}: {where}: {reason}; {remedy}")

    def require(self, key: str) -> str:
        """A value of the Secret that must be there."""
        if self.secret is None:
            raise self.misconfigured("secretRef", "is missing", f"name a Secret with the key {key}")
        if key not in self.secret:
            name = f"Secret {self.source.namespace}/{self.source.secret}"
            raise self.misconfigured("secretRef", f"{name} has no key {key}", "add it")
        return self.secret[key].strip()

    def address(self, default: str = "") -> str:
        """The provider's address, without a slash at its end."""
        address = self.source.address or default
        if not address:
            raise self.misconfigured("address", "is missing", "write it like https://host:port")
        try:
            parts = urlsplit(address)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable:
            raise self.misconfigured("address", "is not a URL", "write it like https://host:port")
        return address.rstrip("/")

    def headers(self, *own: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        """The template's headers and the provider's own."""
        given = ((name, value) for name, values in self.source.headers for value in values)
        return (*given, *own)

    async def ask(self, request: Request, read: Callable[[Reply], Answer]) -> Answer:
        """One exchange; `read` says what the reply means and may raise ValueError, LookupError or TypeError."""
        try:
            reply = await self.world.http.send(request)
        except NoReplyError as error:
            return QueryFailed(
                f"{self.source.type} does not answer: {self.cleared(str(error))}", retriable=True
            )
        return self.understood(reply, read)

    def understood(self, reply: Reply, read: Callable[[Reply], Answer]) -> Answer:
        """What a reply means, refusals and nonsense included."""
        said = self.cleared(reply.text)
        if reply.status != 200:
            return refused(self.source.type, reply.status, said)
        try:
            return read(reply)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            why = self.cleared(str(error))[:_LONGEST_QUOTE]
            kind = self.source.type
            return QueryFailed(f"{kind} does not answer as {kind} does: {why}", retriable=True)

    def cleared(self, text: str) -> str:
        """The text without any of the secrets, short enough for an event."""
        headers = [value for _, values in self.source.headers for value in values]
        for value in (*(self.secret or {}).values(), *headers):
            if len(value) >= _SHORTEST_SECRET:
                text = text.replace(value, _HIDDEN).replace(value.strip(), _HIDDEN)
        return " ".join(text.split())[:_LONGEST_QUOTE]


def refused(kind: str, status: int, said: str) -> QueryFailed:
    """A reply that is not 200: the query's fault, the credentials', or the server's."""
    words = f"{kind} answers {status}: {said}" if said else f"{kind} answers {status}"
    if status in {401, 403}:
        return QueryFailed(f"{words}; check the provider's credentials", retriable=False)
    return QueryFailed(words, retriable=status == 429 or status >= 500)
