"""Whose name AWS is asked in: the environment's keys, its web identity, its container's credentials, or its instance's.

The order is that of the AWS SDKs; profiles in files are left out, since a controller in a cluster has none.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from rollout.http.client import HttpClient, NoReplyError, Request
from rollout.judge.evidence.providers.setup import Setup, World
from rollout.judge.evidence.providers.sigv4 import Credentials
from rollout.judge.evidence.providers.tokens import Token

_CONTAINER_HOST = "http://169.254.170.2"
_INSTANCE = "http://169.254.169.254/latest"
_ROLE = "/meta-data/iam/security-credentials/"
_NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


async def credentials(setup: Setup) -> Credentials:
    """The credentials now. Raises NoReplyError where none are had."""
    world = setup.world
    env = world.environment
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        return Credentials(
            access_key=env["AWS_ACCESS_KEY_ID"],
            secret_key=env["AWS_SECRET_ACCESS_KEY"],
            session_token=env.get("AWS_SESSION_TOKEN", ""),
        )
    who = "|".join(env.get(name, "") for name in sorted(env) if name.startswith("AWS_"))
    region = setup.source.region
    purpose = "aws:" + hashlib.sha256(f"{region}|{who}".encode()).hexdigest()
    text = await world.tokens.get(purpose, world.now(), lambda: _fetch(world, region))
    access, secret, session = json.loads(text)
    return Credentials(access_key=access, secret_key=secret, session_token=session)


async def _fetch(world: World, region: str) -> Token:
    env = world.environment
    if env.get("AWS_ROLE_ARN") and env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return await _web_identity(world, region)
    if env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or env.get(
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    ):
        return await _container(world)
    return await _instance(world.http)


async def _web_identity(world: World, region: str) -> Token:
    env = world.environment
    request = Request(
        method="POST",
        url=env.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.com/",
        form=(
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", env["AWS_ROLE_ARN"]),
            ("RoleSessionName", env.get("AWS_ROLE_SESSION_NAME", "rollout")),
            ("WebIdentityToken", await _file(env["AWS_WEB_IDENTITY_TOKEN_FILE"])),
        ),
    )
    text = await _body(world.http, request)
    # Four elements of a fixed answer; an XML parser would only add what can be wrong with XML.
    found = {name: re.search(rf"<{name}>([^<]+)</{name}>", text) for name in _NAMES}
    return _token({name: match[1] for name, match in found.items() if match})


async def _container(world: World) -> Token:
    env = world.environment
    url = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or (
        _CONTAINER_HOST + env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    )
    file = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = await _file(file) if file else env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    headers = (("Authorization", token),) if token else ()
    got = _json(await _body(world.http, Request(url=url, headers=headers)))
    return _token({**got, "SessionToken": got.get("Token", "")})


async def _instance(http: HttpClient) -> Token:
    """IMDSv2: a session first, then the role's name, then its credentials."""
    ttl = (("X-aws-ec2-metadata-token-ttl-seconds", "60"),)
    session = await _body(
        http, Request(method="PUT", url=f"{_INSTANCE}/api/token", headers=ttl, timeout=2)
    )
    headers = (("X-aws-ec2-metadata-token", session),)
    role = await _body(http, Request(url=_INSTANCE + _ROLE, headers=headers))
    got = _json(await _body(http, Request(url=_INSTANCE + _ROLE + role.strip(), headers=headers)))
    return _token({**got, "SessionToken": got.get("Token", "")})


async def _file(path: str) -> str:
    try:
        return (await asyncio.to_thread(Path(path).read_text)).strip()
    except OSError as error:
        raise NoReplyError(f"{path}: {error.strerror}") from None


async def _body(http: HttpClient, request: Request) -> str:
    reply = await http.send(request)
    if reply.status != 200:
        raise NoReplyError(f"the credentials' server answers {reply.status}")
    return reply.text


def _json(text: str) -> dict[str, str]:
    try:
        got = json.loads(text)
    except ValueError:
        got = None
    if not isinstance(got, dict):
        raise NoReplyError("the credentials' server does not answer with credentials")
    return {str(key): str(value) for key, value in got.items()}


def _token(got: Mapping[str, str]) -> Token:
    try:
        access, secret, session, ends = (got[name] for name in _NAMES)
        expires = datetime.fromisoformat(ends)
    except (LookupError, ValueError):
        raise NoReplyError("the credentials' server does not answer with credentials") from None
    if expires.tzinfo is None:
        raise NoReplyError("the credentials' end has no time zone")
    return Token(json.dumps([access, secret, session]), expires - timedelta(minutes=4))
