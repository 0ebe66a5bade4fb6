"""The state-of-the-world variant of ADS, which older clients speak, as another way of writing the delta protocol.

A request names everything that is wanted, so what is new in it is a subscription and what is missing the end of one. Of
clusters and listeners a response is all that the proxy is to have: what it took last, with what has changed since. Of
other types it carries what has changed; the proxy gives such up together with what referred to them.

What such a proxy has when it comes back is not known: it is sent everything, and clusters that are gone go at once.

Envoy says in a refusal whose fault it is. It takes the rest of a state whose clusters or listeners it does not want, and keeps
the older ones of these; as long as those older ones are not known here, the bad ones are sent along, since it would give
up what it is not sent. Of a state with something that is not well-formed it takes nothing: that is left out of the next
one. So nothing else is taken away meanwhile; from who says nothing, one resource after the other is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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


_TOOK_THE_REST = ("Error adding/updating cluster(s) ", "Error adding/updating listener(s) ")
_MALFORMED = "Proto constraint validation failed"
_NAME = re.compile(r'^name:\s*"([^"]*)"', re.MULTILINE)


@dataclass(slots=True)
class _Type:
    """What was asked for of a type, what the proxy took last, and what it has been sent since.

    `unknown` is it while it may have a state from before of which nothing is known here. `along` are the refused that are
    sent along, `leaving` those that it has been told to give up since it took a state.
    """

    asked: frozenset[str]
    unknown: bool = True
    taken: dict[str, Resource] = field(default_factory=dict)
    sent: dict[str, Resource] = field(default_factory=dict)
    along: dict[str, Resource] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)
    nonce: str = ""

    def next(self, changed: Mapping[str, Resource], removed: Iterable[str]) -> dict[str, Resource]:
        """The whole state with these changes."""
        self.leaving = self.leaving.union(removed).difference(changed)
        for name in removed:
            self.along.pop(name, None)
        return {
            name: each
            for name, each in (self.taken | self.along | dict(changed)).items()
            if name not in self.leaving and ("*" in self.asked or name in self.asked)
        }

    def accepted(self) -> frozenset[str]:
        """It took what it was sent; answers those that it had refused before."""
        relieved = frozenset(self.along.keys() & self.sent.keys())
        self.taken, self.along, self.leaving, self.unknown = self.sent, {}, set(), False
        return relieved

    def refused(self, culprits: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """It took all but these; answers which of them are new, and which others it had refused before."""
        along = {
            name: self.sent[name]
            for name in culprits
            if name not in self.taken and (self.unknown or name in self.along)
        }
        fresh = {name for name in culprits if self.along.get(name) != self.sent[name]}
        relieved = self.along.keys() & self.sent.keys() - culprits
        kept = {name: self.taken[name] for name in culprits if name in self.taken}
        rest = {name: each for name, each in self.sent.items() if name not in culprits}
        self.taken, self.along, self.leaving, self.unknown = rest | kept, along, set(), False
        return frozenset(fresh), frozenset(relieved)


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
        request = Request(
            type_url=message.type_url,
            subscribe=tuple(sorted(asked - before)),
            unsubscribe=tuple(sorted(before - asked)),
            nonce=message.response_nonce,
            error=message.error_detail.message if message.HasField("error_detail") else None,
        )
        if known.nonce and message.response_nonce == known.nonce:
            known.nonce = ""
            request = _answered(known, request)
        return request, MessageToDict(message.node) if message.HasField("node") else None

    def encode(
        self, type_url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]
    ) -> Response:
        """The response after which the proxy has these resources and not those removed."""
        known = self._types[type_url]
        carried = {each.name: each for each in resources}
        if type_url in _WHOLE:
            carried = known.next(carried, removed)
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


def _answered(known: _Type, request: Request) -> Request:
    """The request, with what it says of the state that it answers."""
    if request.error is None:
        return replace(request, relieved=known.accepted())
    if request.type_url not in _WHOLE:
        return request
    if request.error.startswith(_TOOK_THE_REST):
        text = " " + request.error.replace("\n", " ")
        if culprits := frozenset(name for name in known.sent if f" {name}: " in text):
            fresh, relieved = known.refused(culprits)
            error = request.error if fresh else None
            return replace(request, error=error, culprits=fresh, rest_taken=True, relieved=relieved)
    elif _MALFORMED in request.error and (name := _NAME.search(request.error)):
        return replace(request, culprits=frozenset({name[1]}))
    return request


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
