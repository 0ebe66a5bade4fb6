"""Where the API server is and who we are to it: kubeconfig, service account, renewed credentials.

Everything that depends on how the official client is configured stands here. Knows no request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration, rest
from kubernetes.aio.config import ConfigException, load_incluster_config
from kubernetes.aio.config import kube_config as loaders


class NotConfigured(Exception):  # noqa: N818 - it says the state, as the errors of the API do
    """No usable way to an API server; the message says what was looked for and what to do."""


async def api_client(kubeconfig: str | None, context: str | None, pool_size: int) -> Any:
    """The official client's `ApiClient`, with renewal of rotated tokens and without retries of its own."""
    configuration = Configuration()
    try:
        await _configure(configuration, kubeconfig, context)
    except (ConfigException, OSError, ValueError, TypeError) as error:
        raise NotConfigured(
            f"cannot find the API server: {error} (set KUBECONFIG or --kubeconfig to a readable file,"
            " or run in a pod with a service account)"
        ) from error
    configuration.retries = None
    configuration.connection_pool_maxsize = pool_size
    _look_for_proxies(configuration)
    client = ApiClient(configuration)
    client.rest_client = _Connections(configuration)
    return client


async def _configure(
    configuration: Configuration, kubeconfig: str | None, context: str | None
) -> None:
    named = kubeconfig or os.environ.get("KUBECONFIG")
    if named is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        # reads the token file again every minute, through refresh_api_key_hook
        load_incluster_config(client_configuration=configuration)
        return
    source = _existing(named or "~/.kube/config")
    loader = await loaders.load_kube_config(
        config_file=source,
        context=context,
        client_configuration=configuration,
        persist_config=False,
    )
    configuration.refresh_api_key_hook = _renewal(loader)


def _look_for_proxies(configuration: Configuration) -> None:
    """Once: aiohttp would look for them, and into ~/.netrc, before each request, in a thread."""
    configuration.client_session_kwargs = {"trust_env": False}
    server = urlsplit(configuration.host)
    if configuration.proxy is None and not proxy_bypass(server.hostname or ""):
        configuration.proxy = getproxies().get(server.scheme)


class _Connections(rest.RESTClientObject):  # type: ignore[misc]  # the official client is untyped
    """The official client's pool, on sockets of our own making.

    The kernel notices within a minute that the other end of a quiet connection is gone, and what a cancelled request
    leaves in the middle of TLS's farewell is closed with the pool.
    """

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=self.maxsize, ssl=self.ssl_context, socket_factory=self._socket
        )

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # not every platform has all of them
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if (option := getattr(socket, name, None)) is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self._sockets.add(sock)
        return sock

    async def close(self) -> None:
        await super().close()
        await asyncio.sleep(0)
        for sock in tuple(self._sockets):
            with contextlib.suppress(OSError):  # closed already, as nearly all of them are
                sock.shutdown(socket.SHUT_RDWR)
        for _ in range(4):  # rounds of the loop in which the transports see their end
            await asyncio.sleep(0)


def hang_up(response: aiohttp.ClientResponse) -> None:
    """End a connection at once, without TLS's farewell, which a silent peer would never answer."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


def _existing(source: str) -> str:
    files = [Path(each).expanduser() for each in source.split(os.pathsep) if each]
    if not any(each.is_file() for each in files):
        raise ConfigException(f"no such file: {source}")
    return os.pathsep.join(map(str, files))


def _renewal(loader: Any) -> Any:
    """Before each request: credentials of an exec plugin are renewed when they are about to expire."""
    plugin = bool(loader._user) and "exec" in loader._user  # noqa: SLF001 - the loader has no other door

    async def renew(configuration: Configuration) -> None:
        if plugin and hasattr(loader, "exec_plugin_expiry"):
            await loader.load_from_exec_plugin()
            configuration.api_key["BearerToken"] = loader.token

    return renew
