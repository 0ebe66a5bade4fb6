"""What Envoy's fault filter cannot do: requests that it would have answered are broken off instead.

Of Envoy's filters only one in WebAssembly can end a stream without an answer. So the fault filter decides, counts and
flags as it does for aborts, and the module resets the stream when that answer comes by. Before that a line of Lua says
that the connection is to be closed, or else Envoy would hold HTTP/1's for another second. Both stand before the fault
filter, since answers pass filters back to front.

The module is put together here, as a file of bytes could not be reviewed and a compiler would be needed to make it:
one function, and a page of memory. Contracts: WebAssembly 1.0 (its binary format) and Proxy-Wasm 0.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.wasm.v3 import wasm_pb2 as filter_pb2
from envoy.extensions.wasm.v3 import wasm_pb2

from rollout.mesh.translate.resource import pack, varint

STATUS = 503
"""Of the answer that is never seen, except by metrics and logs."""

_NAME = "chaos.reset"
_CLOSING = """
function envoy_on_response(handle)
  if handle:headers():get(":status") == "%d" then
    handle:streamInfo():drainConnectionUponCompletion()
  end
end
"""

# Memory: the name of what is asked for, where it was put and how long it is, and the value itself.
_PATH = b"response\0flags"
_POINTER, _LENGTH, _VALUE = 16, 20, 32
_FAULT_INJECTED = 0x400
"""Envoy's flag FI, as the attribute `response.flags` has it."""
_RESPONSE, _STOP = 1, 1
"""Proxy-Wasm: the stream to close, and that no other filter is to have the answer."""

_INT, _FUNCTION, _MEMORY = b"\x7f", b"\x00", b"\x02"
_TYPES, _IMPORTS, _FUNCTIONS, _MEMORIES, _EXPORTS, _CODE, _DATA = 1, 2, 3, 5, 7, 10, 11
_ONE, _FOUR, _THREE, _NONE = range(4)
"""Types of functions, by the number of their parameters."""
_CLOSE, _ASK, _VERSION, _ALLOCATE, _ANSWERED = range(5)
"""Functions: two of Envoy's, three of the module's own."""
_CALL, _IF, _END, _RETURN, _DROP = b"\x10", b"\x04\x40", b"\x0b", b"\x0f", b"\x1a"
_IS_ZERO, _AND, _LOAD = b"\x45", b"\x71", b"\x28\x02\x00"


def reset_filters() -> tuple[Any, Any]:
    """What stands before a fault filter that aborts with STATUS. If the module fails, that is the answer."""
    closing = base_pb2.DataSource(inline_string=_CLOSING % STATUS)
    lua = lua_pb2.Lua(default_source_code=closing)
    return _named(filter_pb2.Wasm(config=_plugin())), _named(lua)


def _named(config: Any) -> Any:
    return extension_pb2.TypedExtensionConfig(name=_NAME, typed_config=pack(config))


def _plugin() -> Any:
    code = base_pb2.AsyncDataSource(local=base_pb2.DataSource(inline_bytes=module()))
    machine = wasm_pb2.VmConfig(vm_id=_NAME, runtime="envoy.wasm.runtime.v8", code=code)
    return wasm_pb2.PluginConfig(name=_NAME, vm_config=machine, failure_policy=wasm_pb2.FAIL_OPEN)


@lru_cache(maxsize=1)
def module() -> bytes:
    """The module's bytes."""
    types = (_type(1, 1), _type(4, 1), _type(3, 1), _type(0, 0))
    imports = (
        _text("env") + _text("proxy_close_stream") + _FUNCTION + varint(_ONE),
        _text("env") + _text("proxy_get_property") + _FUNCTION + varint(_FOUR),
    )
    exports = (
        _text("memory") + _MEMORY + varint(0),
        _text("proxy_abi_version_0_2_1") + _FUNCTION + varint(_VERSION),
        _text("proxy_on_memory_allocate") + _FUNCTION + varint(_ALLOCATE),
        _text("proxy_on_response_headers") + _FUNCTION + varint(_ANSWERED),
    )
    code = (_body(b""), _body(_number(_VALUE)), _body(_on_answer()))
    return b"\0asm\1\0\0\0" + b"".join(
        (
            _section(_TYPES, types),
            _section(_IMPORTS, imports),
            _section(_FUNCTIONS, map(varint, (_NONE, _ONE, _THREE))),
            _section(_MEMORIES, [b"\x00" + varint(1)]),
            _section(_EXPORTS, exports),
            _section(_CODE, code),
            _section(_DATA, [b"\x00" + _number(0) + _END + _sized(_PATH)]),
        )
    )


def _on_answer() -> bytes:
    """Close the stream and stop if the flags can be had and say that it is a fault's answer; else go on."""
    ask = b"".join(map(_number, (0, len(_PATH), _POINTER, _LENGTH))) + _CALL + varint(_ASK)
    flagged = _number(_POINTER) + _LOAD + _LOAD + _number(_FAULT_INJECTED) + _AND
    close = _number(_RESPONSE) + _CALL + varint(_CLOSE) + _DROP + _number(_STOP) + _RETURN
    return ask + _IS_ZERO + _IF + flagged + _IF + close + _END + _END + _number(0)


def _number(value: int) -> bytes:
    """Pushes a number; signed in WebAssembly, which is the same for all that are used here."""
    return b"\x41" + varint(value)


def _type(parameters: int, results: int) -> bytes:
    return b"\x60" + _vector([_INT] * parameters) + _vector([_INT] * results)


def _body(instructions: bytes) -> bytes:
    return _sized(_vector([]) + instructions + _END)


def _section(number: int, items: Iterable[bytes]) -> bytes:
    return varint(number) + _sized(_vector(items))


def _vector(items: Iterable[bytes]) -> bytes:
    found = list(items)
    return varint(len(found)) + b"".join(found)


def _text(value: str) -> bytes:
    return _sized(value.encode())


def _sized(value: bytes) -> bytes:
    return varint(len(value)) + value
