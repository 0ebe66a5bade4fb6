"""Questions about the control plane itself on a stream of ADS: each is answered once, and nothing is pushed.

Must not know what there is to be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

TYPES = "istio.io/"
"""What types of such questions begin with."""


@dataclass(frozen=True, slots=True)
class Found:
    """A named `Any`; the name may be empty."""

    name: str
    body: Any


class Inquiries(Protocol):
    """Who knows the answers; `identifier` says which control plane that is, as JSON."""

    identifier: str

    def answer(self, type_url: str, asked: tuple[str, ...], namespace: str) -> list[Found]:
        """What somebody of a namespace may know; PermissionError or ValueError where that is nothing."""
        ...


class Inquirer:
    """One stream of questions, in the delta or the state-of-the-world variant."""

    def __init__(self, inquiries: Inquiries, namespace: str, *, whole: bool) -> None:
        self._inquiries, self._namespace, self._whole = inquiries, namespace, whole
        self._sent: set[str] = set()

    async def converse(
        self, first: bytes, requests: AsyncIterator[bytes], context: Any, patience: float
    ) -> None:
        """Until nothing more has been asked for so many seconds."""
        data: bytes | None = first
        while data is not None:
            if (answer := self.answer(data)) is not None:
                async with asyncio.timeout(patience):
                    await context.write(answer)
            try:
                async with asyncio.timeout(patience):
                    data = await anext(requests, None)
            except TimeoutError:
                return

    def answer(self, data: bytes) -> bytes | None:
        """The response to a request; None where it only acknowledges one."""
        kind = (
            discovery_pb2.DiscoveryRequest if self._whole else discovery_pb2.DeltaDiscoveryRequest
        )
        try:
            message: Any = kind.FromString(data)
        except DecodeError as error:
            raise ValueError(f"not a {kind.DESCRIPTOR.name}: {error}") from None
        if message.response_nonce in self._sent:
            return None
        asked = message.resource_names if self._whole else message.resource_names_subscribe
        found = self._inquiries.answer(message.type_url, tuple(asked), self._namespace)
        nonce = str(len(self._sent) + 1)
        self._sent.add(nonce)
        head: dict[str, Any] = {
            "type_url": message.type_url,
            "nonce": nonce,
            "control_plane": base_pb2.ControlPlane(identifier=self._inquiries.identifier),
        }
        response: Any
        if self._whole:
            resources = [each.body for each in found]
            response = discovery_pb2.DiscoveryResponse(
                version_info=nonce, resources=resources, **head
            )
        else:
            named = [discovery_pb2.Resource(name=each.name, resource=each.body) for each in found]
            response = discovery_pb2.DeltaDiscoveryResponse(resources=named, **head)
        return bytes(response.SerializeToString())
