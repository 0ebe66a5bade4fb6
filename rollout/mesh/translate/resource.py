"""A resource as it goes over the wire: serialized once, its version a hash of its contents, shared by every proxy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message

from rollout.mesh.translate import names

MESSAGES: dict[str, Any] = {
    names.CLUSTER: cluster_pb2.Cluster,
    names.ENDPOINTS: endpoint_pb2.ClusterLoadAssignment,
    names.LISTENER: listener_pb2.Listener,
    names.ROUTES: route_pb2.RouteConfiguration,
    names.VIRTUAL_HOST: route_components_pb2.VirtualHost,
    names.SECRET: secret_pb2.Secret,
    names.EXTENSION: extension_pb2.TypedExtensionConfig,
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One named resource; `encoded` is a `DeltaDiscoveryResponse.resources` field, tag and length included."""

    name: str
    version: str
    encoded: bytes = field(repr=False)


def serialize(message: Message) -> bytes:
    """Bytes that depend on the message's value alone."""
    return message.SerializeToString(deterministic=True)


def pack(message: Message) -> Any:
    """An `Any` of the message, deterministic unlike `Any.Pack`."""
    return any_pb2.Any(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}", value=serialize(message)
    )


def field_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field: fields of one message may be put together from their bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """Protobuf's variable-length encoding of a number >= 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def digest(body: bytes) -> str:
    """A short hash of some contents."""
    return blake2b(body, digest_size=8).hexdigest()


def resource(type_url: str, name: str, body: bytes, version: str = "", ttl: int = 0) -> Resource:
    """Wraps a serialized message; a version that was not given is the body's hash.

    `ttl`, if any, is the seconds after which the proxy drops it unless it is sent again.
    """
    version = version or digest(body)
    # Written back to front by lengths, so that a long body is copied once.
    value = varint(2 << 3 | 2) + varint(len(body))
    kind = field_bytes(1, type_url.encode())
    packed = varint(2 << 3 | 2) + varint(len(kind) + len(value) + len(body))
    head = field_bytes(3, name.encode()) + field_bytes(1, version.encode())
    if ttl:
        head += field_bytes(6, serialize(duration_pb2.Duration(seconds=ttl)))
    inner = len(head) + len(packed) + len(kind) + len(value) + len(body)
    wrapped = varint(2 << 3 | 2) + varint(inner)
    return Resource(name, version, b"".join((wrapped, head, packed, kind, value, body)))


def wrap(type_url: str, name: str, message: Message, ttl: int = 0) -> Resource:
    """Serializes and wraps a message."""
    return resource(type_url, name, serialize(message), ttl=ttl)


def replace(known: dict[str, Resource], old: Iterable[str], made: Iterable[Resource]) -> set[str]:
    """Puts `made` in place of the resources named by `old`; answers the names that came, changed or went."""
    changed: set[str] = set()
    keep: set[str] = set()
    for resource in made:
        keep.add(resource.name)
        before = known.get(resource.name)
        if before is None or before.version != resource.version:
            known[resource.name] = resource
            changed.add(resource.name)
    for name in old:
        if name not in keep and known.pop(name, None) is not None:
            changed.add(name)
    return changed
