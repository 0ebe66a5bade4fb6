"""Keys and certificates that proxies are given by name. Knows neither where they are kept nor who may have them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """PEM: a chain with its key, the authorities that the other side's certificate may come from, and revoked ones.

    Any of them may be empty; none of them shows in a log.
    """

    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    authorities: bytes = field(default=b"", repr=False)
    revoked: bytes = field(default=b"", repr=False)
