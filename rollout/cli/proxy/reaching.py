"""Asks proxies and control planes for their own pages, which only their pods' loopback serves: through port-forwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rollout.api.kinds import POD
from rollout.cli.errors import CommandFailed
from rollout.http.client import HttpClient, NoReplyError, Request
from rollout.kube.client import Client
from rollout.kube.errors import KubeError, NotFound
from rollout.kube.objects import Object, Objects
from rollout.kube.portforward import forward

ADMIN_PORT = 15000
DEBUG_PORT = 8080
_CONTROL_PLANES = "app.kubernetes.io/component=mesh"
_PROXY = "istio-proxy"
_TIMEOUT_SECONDS = 20.0
_LARGEST_PAGE = 64 << 20


async def page(
    client: Client,
    namespace: str,
    pod: str,
    port: int,
    path: str,
    *,
    method: str = "GET",
    params: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> str:
    """The page's text. Raises CommandFailed where it cannot be had."""
    query = tuple((params or {}).items())
    async with forward(client, namespace, pod, port) as address, HttpClient() as http:
        request = Request(
            url=address + path,
            method=method,
            params=query,
            body=body,
            timeout=_TIMEOUT_SECONDS,
            largest=_LARGEST_PAGE,
        )
        try:
            reply = await http.send(request)
        except NoReplyError as error:
            raise CommandFailed(f"pod {namespace}/{pod}, port {port}: {error}") from error
    if reply.status != 200:
        raise CommandFailed(f"pod {namespace}/{pod}: {path} answered {reply.status}: {reply.text}")
    return reply.text


async def admin(client: Client, namespace: str, pod: str, path: str) -> Any:
    """A page of Envoy's that is JSON."""
    await proxied(client, namespace, pod)
    return json.loads(await page(client, namespace, pod, ADMIN_PORT, path))


async def proxied(client: Client, namespace: str, pod: str) -> Object:
    """The pod; CommandFailed where it isn't there or has no proxy."""
    try:
        found = await client.get(POD, namespace, pod)
    except NotFound:
        raise CommandFailed(
            f"there is no pod {namespace}/{pod}; name one of `kubectl get pods`"
        ) from None
    spec = found["spec"]
    every = [*(spec.get("initContainers") or ()), *spec["containers"]]
    if not any(container["name"] == _PROXY for container in every):
        raise CommandFailed(
            f"pod {namespace}/{pod} has no proxy; label its namespace istio-injection=enabled and"
            " restart it"
        )
    return found


async def control_planes(client: Client, namespace: str) -> Objects:
    """The pods of the control plane that run; CommandFailed where there is none."""
    found = await client.list(POD, namespace, _CONTROL_PLANES)
    running = [pod for pod in found if (pod.get("status") or {}).get("phase") == "Running"]
    if not running:
        raise CommandFailed(
            f"no control plane runs in namespace {namespace}; name its namespace with"
            " --system-namespace, or install it: rollout install"
        )
    return running


async def debug(client: Client, pod: Object, path: str, **params: str) -> Any:
    """A debug page of a control plane's."""
    metadata = pod["metadata"]
    text = await page(
        client, metadata["namespace"], metadata["name"], DEBUG_PORT, path, params=params
    )
    return json.loads(text)


async def every(
    client: Client, namespace: str, path: str
) -> tuple[list[tuple[Object, Any]], list[str]]:
    """A debug page of each control plane with its pod, and what those say that do not answer."""
    answers, silent = [], []
    for plane in await control_planes(client, namespace):
        try:
            answers.append((plane, await debug(client, plane, path)))
        except (CommandFailed, KubeError) as error:
            silent.append(f"{plane['metadata']['name']}: {error}")
    return answers, silent


async def injection(client: Client, plane: Object, namespace: str, pod: Object) -> list[Object]:
    """The JSON patch by which a control plane would give the pod a proxy."""
    metadata = plane["metadata"]
    text = await page(
        client,
        metadata["namespace"],
        metadata["name"],
        DEBUG_PORT,
        "/debug/inject",
        method="POST",
        body=json.dumps({"namespace": namespace, "object": pod}).encode(),
    )
    found: list[Object] = json.loads(text)
    return found
