"""CEL expressions as syntax trees, the form in which Envoy takes them: it has no parser of its own.

Only the few operators that conditions on requests need. Names of attributes: Envoy's "Attributes" page.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from cel.expr import syntax_pb2 as syntax


def attribute(path: str) -> Any:
    """`request.url_path` and the like."""
    first, *fields = path.split(".")
    found = syntax.Expr(ident_expr=syntax.Expr.Ident(name=first))
    for field in fields:
        found = syntax.Expr(select_expr=syntax.Expr.Select(operand=found, field=field))
    return found


def text(value: str) -> Any:
    """A constant."""
    return syntax.Expr(const_expr=syntax.Constant(string_value=value))


def entry(mapping: Any, key: str) -> Any:
    """What a map holds under a key; an error, so no match, where there is nothing."""
    return _call("_[_]", mapping, text(key))


def has(mapping: Any, key: str) -> Any:
    """Whether a map holds something under a key."""
    return _call("@in", text(key), mapping)


def equal(left: Any, value: str) -> Any:
    """`left == value`."""
    return _call("_==_", left, text(value))


def one_of(left: Any, values: Iterable[str]) -> Any:
    """`left in [values]`, sorted."""
    elements = [text(value) for value in sorted(values)]
    return _call("@in", left, syntax.Expr(list_expr=syntax.Expr.CreateList(elements=elements)))


def starts(left: Any, prefix: str) -> Any:
    """`left.startsWith(prefix)`."""
    return _call("startsWith", text(prefix), target=left)


def ends(left: Any, suffix: str) -> Any:
    """`left.endsWith(suffix)`."""
    return _call("endsWith", text(suffix), target=left)


def matches(left: Any, regex: str) -> Any:
    """Whether an RE2 expression matches the whole of it; Envoy compiles a constant expression once."""
    return _call("matches", text(f"^(?:{regex})$"), target=left)


def all_of(conditions: Iterable[Any]) -> Any:
    """`a && b && …`, of at least one."""
    return reduce(lambda left, right: _call("_&&_", left, right), conditions)


def any_of(conditions: Iterable[Any]) -> Any:
    """`a || b || …`, of at least one; an error beside something true is true."""
    return reduce(lambda left, right: _call("_||_", left, right), conditions)


def parsed(expression: Any) -> Any:
    """The whole expression, its nodes numbered as Envoy wants them."""
    found = syntax.ParsedExpr(expr=expression)
    _number(found.expr, 0)
    return found


def _call(function: str, *arguments: Any, target: Any = None) -> Any:
    call = syntax.Expr.Call(function=function, args=arguments, target=target)
    return syntax.Expr(call_expr=call)


def _number(expression: Any, last: int) -> int:
    expression.id = last = last + 1
    for child in _children(expression):
        last = _number(child, last)
    return last


def _children(expression: Any) -> list[Any]:
    kind = expression.WhichOneof("expr_kind")
    if kind == "select_expr":
        return [expression.select_expr.operand]
    if kind == "list_expr":
        return list(expression.list_expr.elements)
    if kind == "call_expr":
        call = expression.call_expr
        return [*([call.target] if call.HasField("target") else ()), *call.args]
    return []
