"""AWS Signature Version 4, as its documentation derives it: canonical request, string to sign, key, signature. Pure."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who asks AWS; `session_token` for credentials that end."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def signed_headers(
    *,
    method: str,
    url: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    now: datetime,
) -> tuple[tuple[str, str], ...]:
    """The headers given, the date and the token where there is one, and `Authorization`."""
    parts = urlsplit(url)
    when = now.strftime("%Y%m%dT%H%M%SZ")
    token = credentials.session_token
    sent = (
        *headers,
        ("X-Amz-Date", when),
        *((("X-Amz-Security-Token", token),) if token else ()),
    )
    canonical = sorted(
        (name.lower(), " ".join(value.split())) for name, value in (("Host", parts.netloc), *sent)
    )
    names = ";".join(name for name, _ in canonical)
    request = "\n".join(
        (
            method,
            quote(parts.path or "/", safe=f"/{_UNRESERVED}"),
            _canonical_query(parts.query),
            *(f"{name}:{value}" for name, value in canonical),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{when[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, when, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={credentials.access_key}/{scope}"
    authorization = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    return (*sent, ("Authorization", authorization))


def _canonical_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(
        sorted(f"{quote(k, safe=_UNRESERVED)}={quote(v, safe=_UNRESERVED)}" for k, v in pairs)
    )
