"""Requests that are sent while things are broken (`spec.load`): a Fortio run, bounded. Knows nothing of programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rollout.api.durations import Duration
from rollout.api.fields import Count, HttpUrl, PositiveDuration
from rollout.api.istio.match import valid_header_name
from rollout.api.model import Bool, Model, Number, Problem, Str, StrMap

MOST_QPS = 5000
MOST_CONNECTIONS = 256
_MOST_PAYLOAD = 65536


class FortioLoad(Model):
    """A run of Fortio."""

    qps: Annotated[Number, Field(json_schema_extra={"maximum": MOST_QPS})] = 10.0
    """Requests a second."""
    connections: Annotated[
        Count, Field(json_schema_extra={"minimum": 1, "maximum": MOST_CONNECTIONS})
    ] = 4
    """Connections, each with one request at a time."""
    duration: PositiveDuration | None = None
    """For how long; as long as the experiment where unset."""
    url: HttpUrl | None = None
    """Where to; the target's service at its first port where unset."""
    headers: StrMap = Field(default_factory=dict)
    """Headers of each request."""
    payload: Annotated[Str, Field(json_schema_extra={"maxLength": _MOST_PAYLOAD})] | None = None
    """Body of each request, which makes it a POST."""
    grpc: Bool = False
    """Whether gRPC pings are sent instead of HTTP."""
    timeout: PositiveDuration = Field(default_factory=lambda: Duration.parse("3s"))
    """Time for one response."""
    uniform: Bool = False
    """Whether connections take turns evenly instead of all at once."""

    def problems(self) -> Iterator[Problem]:
        """More than one process should send, and what HTTP has no room for."""
        if not 0 < self.qps <= MOST_QPS:
            yield Problem("qps", f"{self.qps:g} cannot be sent", f"give up to {MOST_QPS}")
        if not 1 <= self.connections <= MOST_CONNECTIONS:
            yield Problem(
                "connections", f"{self.connections} cannot be kept", f"give 1 to {MOST_CONNECTIONS}"
            )
        if self.payload is not None and len(self.payload) > _MOST_PAYLOAD:
            yield Problem("payload", f"has {len(self.payload)} characters", "give at most 65536")
        if self.payload is not None and self.grpc:
            yield Problem("payload", "means nothing for gRPC pings", "remove it")
        for name, value in self.headers.items():
            if not valid_header_name(name) or "\n" in value or "\r" in value:
                yield Problem("headers", f"{name!r} cannot be a header", "correct it")


class Load(Model):
    """Requests that are sent while things are broken."""

    fortio: FortioLoad
    """By Fortio."""
