from __future__ import annotations

import contextlib

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from rollout.mesh.identity.wire import read_request, read_response, write_request, write_response


@given(st.text(), st.integers(0, 2**40))
def test_a_request_is_read_as_it_was_written(csr: str, seconds: int) -> None:
    assert read_request(write_request(csr, seconds)) == (csr, seconds)


@given(st.lists(st.text()))
def test_a_response_is_read_as_it_was_written(chain: list[str]) -> None:
    assert read_response(write_response(chain)) == chain


def test_fields_that_are_not_known_are_passed_over() -> None:
    metadata = struct_pb2.Struct(fields={"a": struct_pb2.Value(string_value="b")})
    body = metadata.SerializeToString()
    more = bytes([4 << 3 | 2, len(body)]) + body + bytes([5 << 3 | 5, 1, 2, 3, 4])
    assert read_request(write_request("csr", 7) + more) == ("csr", 7)


@given(st.binary(max_size=40))
def test_nonsense_is_refused_or_read_but_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_request(data)


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\x0a", b"\x0b", b"\x18" + b"\xff" * 11])
def test_what_is_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|not known"):
        read_request(data)
