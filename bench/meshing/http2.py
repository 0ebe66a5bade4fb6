"""One gRPC call over a connection of its own, as cheap as Python can: a benchmark's clients share the cores of what is measured.

Just enough of HTTP/2 to speak with a gRPC server: one stream, flow control of what is sent, unlimited windows for what
comes. Knows nothing of xDS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_OF_STREAM = 1
_END_OF_HEADERS = 4
_HEADER, _PREFIX = 9, 5
_FRAME, _WINDOW_AT_FIRST, _LARGEST = 16_384, 65_535, 2**31 - 1
_TABLE_SIZE, _INITIAL_WINDOW = 1, 4


class Call(asyncio.Protocol):
    """A stream of messages both ways; `heard(message, at)` has each that comes and when its bytes were here."""

    def __init__(self, method: str, heard: Callable[[Call, bytes, float], None]) -> None:
        self._method, self._heard = method, heard
        self._transport: asyncio.Transport | None = None
        self._buffer, self._message = bytearray(), bytearray()
        self._unsent = b""
        self._windows = {0: _WINDOW_AT_FIRST, 1: _WINDOW_AT_FIRST}
        self._initial = _WINDOW_AT_FIRST
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = _setting(_TABLE_SIZE, 0) + _setting(_INITIAL_WINDOW, _LARGEST)
        window = (_LARGEST - _WINDOW_AT_FIRST).to_bytes(4, "big")
        headers = b"".join(
            _literal(name, value)
            for name, value in (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", self._method),
                (":authority", "plane"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
            )
        )
        transport.write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW, 0, 0, window)
            + _frame(_HEADERS, _END_OF_HEADERS, 1, headers)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"lost its connection: {exc}")

    def send(self, message: bytes) -> None:
        """As soon as the server's windows let it."""
        self._unsent += b"\0" + len(message).to_bytes(4, "big") + message
        self._flush()

    def _flush(self) -> None:
        assert self._transport is not None
        while room := min(len(self._unsent), _FRAME, *self._windows.values()):
            if room < 0:
                return
            piece, self._unsent = self._unsent[:room], self._unsent[room:]
            for stream in self._windows:
                self._windows[stream] -= room
            self._transport.write(_frame(_DATA, 0, 1, piece))

    def data_received(self, data: bytes) -> None:
        at = monotonic()
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _HEADER:
            end = start + _HEADER + int.from_bytes(buffer[start : start + 3], "big")
            if len(buffer) < end:
                break
            stream = int.from_bytes(buffer[start + 5 : start + 9], "big")
            payload = bytes(buffer[start + _HEADER : end])
            self._frame(buffer[start + 3], buffer[start + 4], stream, payload, at)
            start = end
        del buffer[:start]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes, at: float) -> None:
        assert self._transport is not None
        if kind == _DATA:
            self._message += payload
            self._deliver(at)
        elif kind == _SETTINGS and not flags & _ACK:
            self._settle(payload)
            self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW:
            self._windows[stream] += int.from_bytes(payload, "big")
            self._flush()
        elif kind in {_RESET, _AWAY} or (kind == _HEADERS and flags & _END_OF_STREAM):
            self._end(f"been ended by frame {kind}: {payload!r}")

    def _deliver(self, at: float) -> None:
        while len(self._message) >= _PREFIX:
            end = _PREFIX + int.from_bytes(self._message[1:_PREFIX], "big")
            if len(self._message) < end:
                return
            message = bytes(self._message[_PREFIX:end])
            del self._message[:end]
            self._heard(self, message, at)

    def _settle(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2], "big") == _INITIAL_WINDOW:
                initial = int.from_bytes(payload[at + 2 : at + 6], "big")
                self._windows[1] += initial - self._initial
                self._initial = initial
        self._flush()

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def _setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


def _literal(name: str, value: str) -> bytes:
    """A header that no table has part in; both are shorter than 127 bytes."""
    return b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
