"""The state-of-the-world variant of ADS, which older clients speak, as another way of writing the delta protocol.

A request names everything that is wanted, so what is new in it is a subscription and what is missing the end of one. Of
clusters and listeners a response is all that the proxy is to have: what it took last, with what has changed since. Of
other types it carries what has changed; the proxy gives such up together with what referred to them.

What such a proxy has when it comes back is not known: it is sent everything, and clusters that are gone go at once. Where it
refuses that first state, it is sent one resource after the other until the culprit is known, and lacks the rest meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, digest, field_bytes
from rollout.mesh.xds.wire import Request, Response

_WHOLE = frozenset({names.CLUSTER, names.LISTENER})
_VERSION, _RESOURCES, _TYPE_URL, _NONCE = 1, 2, 4, 5
_ANY = _RESOURCES << 3 | 2
_WRAPPER = b"type.googleapis.com/envoy.service.discovery.v3.Resource"


@dataclass(slots=True)
class _Type:
    """What was asked for of a type, what the proxy took last, and what it has been sent since."""

    asked: frozenset[str]
    taken: dict[str, Resource] = field(default_factory=dict)
    sent: dict[str, Resource] = field(default_factory=dict)
    nonce: str = ""


class StateOfTheWorld:
    """One stream's side of it."""

    def __init__(self) -> None:
        self._types: dict[str, _Type] = {}
        self._count = 0

    def read(self, data: bytes) -> tuple[Request, Any | None]:
        """A request, and the node if it says one. ValueError where the bytes are none."""
        try:
            message = discovery_pb2.DiscoveryRequest.FromString(data)
        except DecodeError as error:
            raise ValueError(f"not a DiscoveryRequest: {error}") from None
        asked = _asked(message.type_url, message.resource_names)
        known = self._types.get(message.type_url)
        before: frozenset[str] = frozenset()
        if known is None:
            known = self._types[message.type_url] = _Type(asked)
        else:
            before, known.asked = known.asked, asked
        refusal = message.error_detail.message if message.HasField("error_detail") else None
        if refusal is None and known.nonce and message.response_nonce == known.nonce:
            known.taken, known.nonce = known.sent, ""
        request = Request(
            type_url=message.type_url,
            subscribe=tuple(sorted(asked - before)),
            unsubscribe=tuple(sorted(before - asked)),
            nonce=message.response_nonce,
            error=refusal,
        )
        return request, MessageToDict(message.node) if message.HasField("node") else None

    def encode(
        self, type_url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]
    ) -> Response:
        """The response after which the proxy has these resources and not those removed."""
        known = self._types[type_url]
        changed = {each.name: each for each in resources}
        carried = changed
        if type_url in _WHOLE:
            carried = {
                name: each
                for name, each in (known.taken | changed).items()
                if name not in removed and ("*" in known.asked or name in known.asked)
            }
        self._count += 1
        version = digest(repr([(each.name, each.version) for each in carried.values()]).encode())
        known.sent, known.nonce = carried, f"{version}-{self._count}"
        body = b"".join(
            (
                field_bytes(_VERSION, version.encode()),
                *(_unwrapped(type_url, carried[name].encoded) for name in sorted(carried)),
                field_bytes(_TYPE_URL, type_url.encode()),
                field_bytes(_NONCE, known.nonce.encode()),
            )
        )
        return Response(type_url, known.nonce, resources, removed, body)


def _asked(type_url: str, wanted: Iterable[str]) -> frozenset[str]:
    """The names; to name no cluster or listener means all of them."""
    return frozenset(wanted) or (frozenset("*") if type_url in _WHOLE else frozenset())


def _unwrapped(type_url: str, encoded: bytes) -> bytes:
    """A delta response's resource as one of a whole state: without name and version, unless its lease has to be told."""
    start, _ = _length_at(encoded, 1)
    if type_url in names.LEASED:
        return field_bytes(_RESOURCES, field_bytes(1, _WRAPPER) + field_bytes(2, encoded[start:]))
    # The `Any` has the same number in both, so that its bytes can be taken as they are.
    while encoded[start] != _ANY:
        body, length = _length_at(encoded, start + 1)
        start = body + length
    return encoded[start:]


def _length_at(data: bytes, at: int) -> tuple[int, int]:
    """A field's length, written at this place: where the field begins, and how long it is."""
    length = shift = 0
    while True:
        byte = data[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return at, length
