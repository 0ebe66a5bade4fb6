"""Google Cloud Monitoring: an MQL query, the first point of the first time series, as in Flagger.

Who asks is the Secret's service account, the one that `GOOGLE_APPLICATION_CREDENTIALS` names, or the workload's own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rollout.http.client import NoReplyError, Reply, Request
from rollout.judge.checks import Answer, NoData, QueryFailed
from rollout.judge.evidence.providers.reading import number
from rollout.judge.evidence.providers.setup import Setup
from rollout.judge.evidence.providers.tokens import Token

_HOST = "https://monitoring.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/monitoring.read"
_METADATA = (
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
)
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR = timedelta(hours=1)


class Stackdriver:
    """Secret keys: `project`, and `serviceAccountKey` (JSON), without which the environment's account asks."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        project = setup.require("project")
        self._url = f"{setup.address(_HOST)}/v3/projects/{project}/timeSeries:query"

    async def answer(self, query: str) -> Answer:
        """The first point."""
        try:
            token = await self._token()
        except NoReplyError as error:
            reason = f"no Google token is had: {self._setup.cleared(str(error))}"
            return QueryFailed(reason, retriable=True)
        request = Request(
            method="POST",
            url=self._url,
            headers=self._setup.headers(
                ("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")
            ),
            body=json.dumps({"query": query}).encode(),
            verify=self._setup.source.verify,
        )
        return await self._setup.ask(request, _read)

    async def _token(self) -> str:
        key = (self._setup.secret or {}).get("serviceAccountKey")
        file = self._setup.world.environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        if key is None and file:
            try:
                key = await asyncio.to_thread(Path(file).read_text)
            except OSError as error:
                raise NoReplyError(f"{file}: {error.strerror}") from None
        purpose = "google:" + hashlib.sha256((key or "").encode()).hexdigest()
        now = self._setup.world.now()
        return await self._setup.world.tokens.get(purpose, now, lambda: self._fetch(key, now))

    async def _fetch(self, key: str | None, now: datetime) -> Token:
        if key is None:
            request = Request(url=_METADATA, headers=(("Metadata-Flavor", "Google"),))
        else:
            account = self._parsed(lambda: json.loads(key))
            form = (
                ("grant_type", _GRANT),
                ("assertion", self._parsed(lambda: assertion(account, now))),
            )
            request = Request(method="POST", url=account["token_uri"], form=form)
        reply = await self._setup.world.http.send(request)
        if reply.status != 200:
            raise NoReplyError(f"the token server answers {reply.status}: {reply.text[:200]}")
        try:
            got = json.loads(reply.body)
            return Token(got["access_token"], now + timedelta(seconds=got["expires_in"]))
        except (ValueError, LookupError, TypeError):
            raise NoReplyError("the token server does not answer with a token") from None

    def _parsed(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (ValueError, LookupError, TypeError, UnsupportedAlgorithm):
            raise self._setup.misconfigured(
                "secretRef", "serviceAccountKey is not a service account's JSON key", "replace it"
            ) from None


def assertion(account: dict[str, str], now: datetime) -> str:
    """The signed claim that a service account's key is exchanged for a token with (RFC 7523, RS256)."""
    claims = {
        "iss": account["client_email"],
        "scope": _SCOPE,
        "aud": account["token_uri"],
        "iat": int(now.timestamp()),
        "exp": int((now + _HOUR).timestamp()),
    }
    header = {"alg": "RS256", "typ": "JWT", "kid": account.get("private_key_id", "")}
    signed = b".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    key = load_pem_private_key(account["private_key"].encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("private_key is not an RSA key")
    return b".".join((signed, _base64(key.sign(signed, PKCS1v15(), SHA256())))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _read(reply: Reply) -> Answer:
    series = json.loads(reply.body).get("timeSeriesData") or []
    points = series[0].get("pointData") if series else []
    values = points[0].get("values") if points else []
    if not values:
        return NoData("no time series has a point")
    return number(values[0].get("doubleValue", values[0].get("int64Value")))
