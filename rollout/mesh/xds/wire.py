"""The delta protocol's messages: requests read into plain values, responses put together from bytes that exist.

A response's nonce is a hash of its contents, so that all proxies that want the same get the very same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from rollout.mesh.translate.resource import Resource, digest, field_bytes

_TYPE_URL, _NONCE, _REMOVED = 4, 5, 6
_REMEMBERED, _BYTES = 64, 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A DeltaDiscoveryRequest; `error` is None unless it is a NACK.

    Where that says whose fault it is, these are the `culprits`, and `rest_taken` whether the proxy has taken the rest all
    the same. `relieved` are those that it had refused and has taken now, without their having changed.
    """

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None
    culprits: frozenset[str] = frozenset()
    rest_taken: bool = False
    relieved: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Response:
    """A DeltaDiscoveryResponse as sent."""

    type_url: str
    nonce: str
    resources: tuple[Resource, ...] = field(repr=False)
    removed: tuple[str, ...]
    body: bytes = field(repr=False)


def read_request(data: bytes) -> tuple[Request, Any | None]:
    """Decodes a request; the node comes with a stream's first. ValueError where the bytes are not a request."""
    try:
        message = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
    except DecodeError as error:
        raise ValueError(f"not a DeltaDiscoveryRequest: {error}") from None
    request = Request(
        type_url=message.type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )
    return request, MessageToDict(message.node) if message.HasField("node") else None


class Codec(Protocol):
    """How a variant of the protocol is written: requests as the delta stream takes them, responses as it makes them."""

    def read(self, data: bytes) -> tuple[Request, Any | None]:
        """A request, and the node if it says one. ValueError where the bytes are none."""
        ...

    def encode(
        self, type_url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]
    ) -> Response:
        """The response that carries these resources and removals."""
        ...


class Encoder:
    """The delta protocol as it is. One is enough for all proxies.

    Remembers the last responses by what they contain, and the last acknowledgements: all proxies answer a response with
    the very same bytes.
    """

    def __init__(self) -> None:
        self._answers: dict[bytes, Request] = {}
        self._known: dict[tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]], Response] = {}
        self._size = 0

    def read(self, data: bytes) -> tuple[Request, Any | None]:
        """A request, and the node if it says one."""
        if (answer := self._answers.get(data)) is not None:
            return answer, None
        request, node = read_request(data)
        asked = request.subscribe or request.unsubscribe or request.versions
        if node is None and request.nonce and request.error is None and not asked:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[data] = request
        return request, node

    def encode(
        self, type_url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]
    ) -> Response:
        """The response that carries these resources and removals."""
        key = (type_url, tuple((each.name, each.version) for each in resources), removed)
        if (known := self._known.get(key)) is not None:
            return known
        nonce = digest(repr(key).encode())
        body = b"".join(
            (
                *(each.encoded for each in resources),
                *(field_bytes(_REMOVED, name.encode()) for name in removed),
                field_bytes(_TYPE_URL, type_url.encode()),
                field_bytes(_NONCE, nonce.encode()),
            )
        )
        self._known[key] = response = Response(type_url, nonce, resources, removed, body)
        self._size += len(body)
        while len(self._known) > _REMEMBERED or (len(self._known) > 1 and self._size > _BYTES):
            self._size -= len(self._known.pop(next(iter(self._known))).body)
        return response
