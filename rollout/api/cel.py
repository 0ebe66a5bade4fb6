"""Expressions in CEL, as far as Envoy evaluates them in access logs: is one well formed, and does it name what there is?

Contracts: CEL's language definition (its grammar, without macros over collections), Envoy's "Attributes" page. A
proxy that is given an expression it cannot parse would take no listener any more, so what is not known is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rollout.api.re2 import regex_fault

_CERTIFICATE = "subject_{0} dns_san_{0} uri_san_{0}"
_LOCAL, _PEER = (_CERTIFICATE.format(side) for side in ("local_certificate", "peer_certificate"))
_ATTRIBUTES = {
    "request": "path url_path host scheme method headers referer useragent time id protocol query duration size"
    " total_size",
    "response": "code code_details flags grpc_status headers trailers size total_size backend_latency",
    "source": "address port",
    "destination": "address port",
    "connection": "id mtls requested_server_name tls_version termination_details transport_failure_reason"
    f" sha256_peer_certificate_digest {_LOCAL} {_PEER}",
    "upstream": f"address port tls_version local_address transport_failure_reason request_attempt_count"
    f" cx_pool_ready_duration locality sha256_peer_certificate_digest {_LOCAL} {_PEER}",
    "metadata": "filter_metadata typed_filter_metadata",
    "xds": "node cluster_name cluster_metadata listener_direction listener_metadata route_name route_metadata"
    " upstream_host_metadata filter_chain_name virtual_host_name",
    "filter_state": "",
}
"""What Envoy knows of a request; an empty value is a map with whatever keys."""
_FUNCTIONS = {"size": 1, "has": 1, "string": 1, "int": 1, "uint": 1, "double": 1}
_METHODS = {"startsWith": 1, "endsWith": 1, "contains": 1, "matches": 1, "size": 0}
_DEEPEST = 32
_LONGEST = 1024
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.\d+|\d+u?)|(?P<text>'(?:[^'\\\n]|\\["'\\nrt])*'|"(?:[^"\\\n]|\\["'\\nrt])*")"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]]))"""
)
_LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))


class _Fault(Exception):  # noqa: N818 - as it is read
    """Why an expression is refused."""


class _Token(NamedTuple):
    kind: str
    text: str


def fault_in(expression: str, *, formatted: bool = False) -> str:
    """Why a proxy could not evaluate it; empty where it can. `formatted`: it is to stand between Envoy's `%`."""
    if len(expression) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if formatted and ("%" in expression or "\n" in expression):
        return "holds a % or a line break, which has no place in a label"
    try:
        _Parser(list(_tokens(expression))).whole()
    except _Fault as fault:
        return str(fault)
    return ""


def _tokens(text: str) -> Iterator[_Token]:
    position, text = 0, text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _Fault(f"is no CEL expression at {text[position:].strip()[:20]!r}")
        kind = str(found.lastgroup)
        yield _Token(kind, found.group(kind))
        position = found.end()
    yield _Token("end", "")


class _Parser:
    """Recursive descent; keeps nothing of what it reads but its faults."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0

    def whole(self) -> None:
        """All of it, once."""
        self._ternary()
        if self._next.kind != "end":
            raise _Fault(f"has {self._next.text!r} where it should end")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        found = self._next
        self._at += 1
        return found

    def _taken(self, *signs: str) -> bool:
        if self._next.kind in {"sign", "name"} and self._next.text in signs:
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._taken(sign):
            raise _Fault(f"has {self._next.text or 'its end'!r} where {sign!r} should be")

    def _ternary(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Fault(f"is nested more than {_DEEPEST} deep")
        self._binary(0)
        if self._taken("?"):
            self._binary(0)
            self._expect(":")
            self._ternary()
        self._depth -= 1

    def _binary(self, level: int) -> None:
        if level == len(_LEVELS):
            self._unary()
            return
        self._binary(level + 1)
        while self._taken(*_LEVELS[level]):
            self._binary(level + 1)

    def _unary(self) -> None:
        while self._taken("!", "-"):
            pass
        self._selected(self._primary())

    def _primary(self) -> str:
        """Answers the attribute whose fields may follow; empty for any other value."""
        if self._taken("("):
            self._ternary()
            self._expect(")")
            return ""
        if self._taken("["):
            self._arguments("]")
            return ""
        token = self._take()
        if token.kind in {"number", "text"} or token.text in {"true", "false", "null"}:
            return ""
        if token.kind != "name":
            raise _Fault(f"has {token.text or 'its end'!r} where a value should be")
        if self._taken("("):
            self._call(token.text, _FUNCTIONS)
            return ""
        if token.text not in _ATTRIBUTES:
            known = ", ".join(sorted(_ATTRIBUTES))
            raise _Fault(f"names {token.text!r}, which no proxy knows: known are {known}")
        return token.text

    def _selected(self, attribute: str) -> None:
        known = _ATTRIBUTES.get(attribute, "").split()
        while True:
            if self._taken("["):
                self._ternary()
                self._expect("]")
            elif self._taken("."):
                field = self._take()
                if field.kind != "name":
                    raise _Fault(f"has {field.text or 'its end'!r} where a field's name should be")
                if self._taken("("):
                    self._call(field.text, _METHODS)
                elif known and field.text not in known:
                    name = f"{attribute}.{field.text}"
                    raise _Fault(
                        f"names {name}, which no proxy knows: {attribute} has {', '.join(known)}"
                    )
            else:
                return
            known = []

    def _call(self, name: str, known: dict[str, int]) -> None:
        if name not in known:
            raise _Fault(f"calls {name}, which is not known: known are {', '.join(sorted(known))}")
        first = self._next
        count = self._arguments(")")
        if count != known[name]:
            raise _Fault(f"calls {name} with {count} arguments instead of {known[name]}")
        if name == "matches":
            self._check_regex(first)

    def _check_regex(self, token: _Token) -> None:
        if token.kind != "text":
            raise _Fault("calls matches with what is not a constant")
        if reason := regex_fault(token.text[1:-1]):
            raise _Fault(f"has a regular expression that {reason}")

    def _arguments(self, closing: str) -> int:
        if self._taken(closing):
            return 0
        self._ternary()
        count = 1
        while self._taken(","):
            self._ternary()
            count += 1
        self._expect(closing)
        return count
