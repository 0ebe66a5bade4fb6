"""One connection pool to one API server: raw JSON in, raw JSON out, every request bounded in time.

Authentication, TLS and kubeconfig are the official client's; retrying is the caller's business, since only the caller
knows what may be repeated. Knows no object's meaning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
import msgspec
from kubernetes.aio.config import ConfigException

from rollout import __version__
from rollout.api.kinds import Kind
from rollout.kube.connect import api_client, hang_up
from rollout.kube.errors import KubeError, Unavailable, error_from_status
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import Object, Objects

REQUEST_TIMEOUT = 10.0
PAGE_SIZE = 500
POOL_SIZE = 64  # some thirty watches and as many requests at a time


class Patch(StrEnum):
    """How a patch's body is to be read."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole collection, consistent as of `version`."""

    items: Objects
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch; `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class Client:
    """Requests to one API server. Every method raises a `KubeError`; `async with` closes the pool."""

    def __init__(self, api: Any, *, metrics: KubeMetrics | None = None) -> None:
        self._api = api
        self._api.user_agent = f"rollout/{__version__}"
        self._metrics = metrics or KubeMetrics()

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        metrics: KubeMetrics | None = None,
        pool_size: int = POOL_SIZE,
    ) -> Self:
        """Connect as `kubectl` would: the file named, else $KUBECONFIG, else the pod's service account, else ~/.kube/config.

        At most `pool_size` requests and watches are under way at a time; what is beyond waits. Raises
        `rollout.kube.connect.NotConfigured`, which says what was looked for. Sends nothing yet.
        """
        return cls(await api_client(kubeconfig, context, pool_size), metrics=metrics)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; watches end with `Unavailable`."""
        await self._api.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object."""
        return await self._object("GET", kind.path(namespace, name))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Objects:
        """Read a whole collection, page by page."""
        return (await self.list_pages(kind, namespace, label_selector, field_selector)).items

    async def list_pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        *,
        page_size: int = PAGE_SIZE,
    ) -> Listing:
        """Read a whole collection, page by page, with the version that a watch goes on from.

        Raises `Gone` where the server dropped the snapshot between two pages.
        """
        items: Objects = []
        query = _query(labelSelector=label_selector, fieldSelector=field_selector, limit=page_size)
        while True:
            page = await self._object("GET", kind.path(namespace), query=query)
            for item in page.get("items") or ():
                # items of built-in kinds come without these two
                item["apiVersion"], item["kind"] = kind.api_version, kind.kind
                items.append(item)
            token = page["metadata"].get("continue")
            if not token:
                return Listing(items, page["metadata"]["resourceVersion"])
            query["continue"] = token

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        version: str,
        server_timeout: float,
        silence: float,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """What happens after `version`, with bookmarks, until the server ends it after `server_timeout` seconds.

        Raises `Gone` where that version is too old, and `Unavailable` where nothing came for `silence` seconds. Silence
        counts from the first event or bookmark on: a server that has not seen the kind change since it started sends
        no bookmarks either. Until then, the kernel's keep-alive watches over the connection.
        """
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=version,
            timeoutSeconds=int(server_timeout),
        )
        path = kind.path(namespace)
        response = await self._open(path, query)
        patience = server_timeout + silence
        try:
            if response.status != 200:
                raise error_from_status(
                    response.status, await _decoded(response), f"watch of {path}"
                )
            while True:
                async with asyncio.timeout(patience):
                    line = await response.content.readline()
                if not line:
                    return
                patience = silence
                event = msgspec.json.decode(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise error_from_status(status.get("code") or 500, status, f"watch of {path}")
                yield WatchEvent(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"watch of {path}: {_why(error)}", reason="Interrupted") from error
        finally:
            hang_up(response)

    async def _open(self, path: str, query: dict[str, str]) -> aiohttp.ClientResponse:
        """Begin a watch: the answer's head is due in time, its body may take as long as it likes."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                return await self._send(
                    "GET", path, query=query, timeout=aiohttp.ClientTimeout(total=None)
                )
        except TimeoutError as error:
            raise Unavailable(
                f"watch of {path}: no answer in time", reason="Unreachable"
            ) from error

    async def create(self, kind: Kind, obj: Object) -> Object:
        """Create one object in the namespace that it names."""
        return await self._object("POST", kind.path(obj["metadata"].get("namespace")), body=obj)

    async def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: Any,
        *,
        subresource: str | None = None,
        content_type: Patch = Patch.MERGE,
        field_manager: str | None = None,
        force: bool = False,
    ) -> Object:
        """Patch one object or its subresource; `field_manager` and `force` are for `Patch.APPLY`."""
        return await self._object(
            "PATCH",
            kind.path(namespace, name, subresource),
            body=body,
            query=_query(fieldManager=field_manager, force="true" if force else None),
            content_type=content_type,
        )

    async def replace(self, kind: Kind, obj: Object, *, subresource: str | None = None) -> Object:
        """Replace one object; raises `Conflict` where its resource version is no longer the last."""
        metadata = obj["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._object("PUT", path, body=obj)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        uid: str | None = None,
        propagation: str | None = None,
    ) -> Object:
        """Delete one object (only the instance `uid`, where given); `propagation` is Background, Foreground or Orphan."""
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if propagation:
            body["propagationPolicy"] = propagation
        return await self._object("DELETE", kind.path(namespace, name), body=body)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 - it is the transport's own
    ) -> Any:
        """Send to any path (`/version`, token reviews) and answer the decoded JSON."""
        return await self._object(method, path, body=body, query=query, timeout=timeout)

    async def websocket(
        self, path: str, query: dict[str, str], protocol: str
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket to a path (`…/portforward`); its user closes it."""
        _, url, headers, *_ = await self._api.param_serialize(
            "GET", path, query_params=query, header_params={}, auth_settings=["BearerToken"]
        )
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                session = self._api.rest_client.pool_manager or await self._session()
                opened: aiohttp.ClientWebSocketResponse = await session.ws_connect(
                    url, protocols=(protocol,), headers=headers
                )
        except aiohttp.WSServerHandshakeError as error:
            raise error_from_status(error.status, {}, f"GET {path}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"GET {path}: {_why(error)}", reason="Unreachable") from error
        return opened

    async def _session(self) -> aiohttp.ClientSession:
        """The official client's pool, which its first request makes."""
        await self.request("GET", "/version")
        session: aiohttp.ClientSession = self._api.rest_client.pool_manager
        return session

    async def _object(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 - likewise
    ) -> Object:
        response = await self._send(
            method,
            path,
            body=body,
            query=query,
            content_type=content_type,
            timeout=aiohttp.ClientTimeout(total=timeout),
        )
        request = f"{method} {path}"
        try:
            answer = await _decoded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{request}: {_why(error)}", reason="Interrupted") from error
        finally:
            response.release()
        if not 200 <= response.status < 300:
            raise error_from_status(response.status, answer, request)
        return cast("Object", answer)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - likewise
        body: Any = None,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> aiohttp.ClientResponse:
        try:
            prepared = await self._api.param_serialize(
                method,
                path,
                query_params=query or None,
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self._api.call_api(*prepared, _request_timeout=timeout)
        except (aiohttp.ClientError, TimeoutError, OSError, ConfigException) as error:
            self._metrics.requests.labels(method, "none").inc()
            raise Unavailable(f"{method} {path}: {_why(error)}", reason="Unreachable") from error
        response: aiohttp.ClientResponse = answer.response
        self._metrics.requests.labels(method, str(response.status)).inc()
        return response


async def _decoded(response: aiohttp.ClientResponse) -> Any:
    data = await response.read()
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        text = data[:500].decode(errors="replace")
        if 200 <= response.status < 300 and response.content_type == "application/json":
            raise KubeError(f"an answer that is not JSON: {text}", status=response.status) from None
        return {"message": text} if response.status >= 400 else text


def _query(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _why(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
