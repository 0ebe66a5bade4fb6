"""The messages of `istio.v1.auth.IstioCertificateService`, as bytes.

Two fields each way: written by hand, because the agent's side has no protobuf to load.
Contract: istio/api security/v1alpha1/ca.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

METHOD = "CreateCertificate"
SERVICE = "istio.v1.auth.IstioCertificateService"
_CSR, _VALIDITY, _CHAIN = 1, 3, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def write_request(csr: str, seconds: int) -> bytes:
    """An IstioCertificateRequest."""
    body = csr.encode()
    return (
        _tag(_CSR, _BYTES) + _varint(len(body)) + body + _tag(_VALIDITY, _VARINT) + _varint(seconds)
    )


def read_request(data: bytes) -> tuple[str, int]:
    """The CSR and the seconds asked for (0: nothing was said); ValueError where the bytes are no request."""
    csr, seconds = "", 0
    for number, value in _fields(data):
        if number == _CSR and isinstance(value, bytes):
            csr = value.decode()
        elif number == _VALIDITY and isinstance(value, int):
            seconds = value
    return csr, seconds


def write_response(chain: list[str]) -> bytes:
    """An IstioCertificateResponse."""
    bodies = [each.encode() for each in chain]
    return b"".join(_tag(_CHAIN, _BYTES) + _varint(len(body)) + body for body in bodies)


def read_response(data: bytes) -> list[str]:
    """The chain, the workload's certificate first, a root last."""
    return [
        value.decode()
        for number, value in _fields(data)
        if number == _CHAIN and isinstance(value, bytes)
    ]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _read_varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _read_varint(data, position)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} is not known")
        if position + size > len(data):
            raise ValueError("the message is cut short")
        yield number, data[position : position + size]
        position += size


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("the message is cut short")
