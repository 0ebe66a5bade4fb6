"""Renders parsed templates (Go's text/template/exec.go is the contract), within limits."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from rollout.api.gotemplate import nodes
from rollout.api.gotemplate.builtins import BUILTINS, LAZY, Fn
from rollout.api.gotemplate.errors import Source, TemplateError
from rollout.api.gotemplate.values import MISSING, NO_VALUE, Missing, kind_of, text_of, true

MissingKey = Literal["error", "default", "zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one rendering may use, templates that it includes counted in."""

    steps: int = 200_000
    depth: int = 50
    output: int = 4 << 20
    """Characters, of the output and of any value on the way."""


class Usage:
    """What a rendering has used so far."""

    __slots__ = ("depth", "limits", "steps")

    def __init__(self, limits: Limits) -> None:
        self.limits, self.steps, self.depth = limits, 0, 0


class _Jump(Exception):  # noqa: N818 - control flow inside one range
    def __init__(self, keyword: str) -> None:
        self.keyword = keyword


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A template that others may invoke: its nodes, and the source that they are from."""

    source: Source
    body: tuple[nodes.Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What every template of a set shares."""

    definitions: Mapping[str, Definition]
    functions: Mapping[str, Fn]
    missing_key: MissingKey


class _Evaluation:
    """One template being rendered with one value."""

    def __init__(self, scope: Scope, name: str, data: Any, usage: Usage) -> None:
        definition = scope.definitions[name]
        self.scope, self.usage, self.source = scope, usage, definition.source
        self.body = definition.body
        self.variables: list[tuple[str, Any]] = [("$", data)]
        self.data = data
        self.out: list[str] = []
        self.size = 0

    def run(self) -> str:
        self.usage.depth += 1
        if self.usage.depth > self.usage.limits.depth:
            raise self.source.error(
                0, f"templates invoke each other deeper than {self.usage.limits.depth}"
            )
        self.body_of(self.data, self.body)
        self.usage.depth -= 1
        return "".join(self.out)

    def step(self, at: int) -> None:
        self.usage.steps += 1
        if self.usage.steps > self.usage.limits.steps:
            raise self.source.error(at, f"takes more than {self.usage.limits.steps} steps")

    def write(self, at: int, text: str) -> None:
        self.size += len(text)
        self.bounded(at, self.size)
        self.out.append(text)

    def bounded(self, at: int, size: int) -> None:
        if size > self.usage.limits.output:
            raise self.source.error(at, f"yields more than {self.usage.limits.output} characters")

    def body_of(self, dot: Any, body: tuple[nodes.Node, ...]) -> None:
        for node in body:
            self.step(node.at)
            match node:
                case nodes.Text():
                    self.write(node.at, node.text)
                case nodes.Action():
                    value = self.pipeline(dot, node.pipeline)
                    if not node.pipeline.names:
                        self.write(node.at, self.shown(node.at, value))
                case nodes.Branch():
                    self.branch(dot, node)
                case nodes.Invoke():
                    self.invoke(dot, node)
                case nodes.Jump():
                    raise _Jump(node.keyword)

    def shown(self, at: int, value: Any) -> str:
        if callable(value):
            raise self.source.error(at, "can't print a function")
        return text_of(value, nil=NO_VALUE)

    def invoke(self, dot: Any, node: nodes.Invoke) -> None:
        if node.name not in self.scope.definitions:
            raise self.source.error(node.at, f"template {node.name!r} is not defined")
        data = None if node.pipeline is None else self.pipeline(dot, node.pipeline)
        self.write(node.at, _Evaluation(self.scope, node.name, data, self.usage).run())

    def branch(self, dot: Any, node: nodes.Branch) -> None:
        mark = len(self.variables)
        value = self.pipeline(dot, node.pipeline)
        if node.keyword == "range":
            self.range(dot, node, value)
        elif true(value):
            self.body_of(value if node.keyword == "with" else dot, node.body)
        else:
            self.body_of(dot, node.otherwise)
        del self.variables[mark:]

    def range(self, dot: Any, node: nodes.Branch, value: Any) -> None:
        mark, ran = len(self.variables), False
        for key, item in self.entries(node, value):
            ran = True
            self.step(node.at)
            self.loop_variables(node.pipeline, key, item)
            try:
                self.body_of(item, node.body)
            except _Jump as jump:
                if jump.keyword == "break":
                    break
            finally:
                del self.variables[mark:]
        if not ran:
            self.body_of(dot, node.otherwise)

    def entries(self, node: nodes.Branch, value: Any) -> Iterator[tuple[Any, Any]]:
        match value:
            case None | Missing():
                return iter(())
            case Mapping():
                return ((key, value[key]) for key in sorted(value))
            case bool() | str():
                pass
            case int():
                return ((number, number) for number in range(value))
            case Sequence():
                return iter(enumerate(value))
        raise self.source.error(node.at, f"range can't iterate over {text_of(value)}")

    def loop_variables(self, pipeline: nodes.Pipeline, key: Any, item: Any) -> None:
        values = (item,) if len(pipeline.names) == 1 else (key, item)
        for name, value in zip(pipeline.names, values, strict=False):
            if pipeline.declares:
                self.variables.append((name, value))
            else:
                self.assign(name, value)

    def assign(self, name: str, value: Any) -> None:
        for index in range(len(self.variables) - 1, -1, -1):
            if self.variables[index][0] == name:
                self.variables[index] = (name, value)
                return

    def pipeline(self, dot: Any, node: nodes.Pipeline) -> Any:
        value: Any = MISSING
        for index, command in enumerate(node.commands):
            value = self.command(dot, command, () if index == 0 else (value,))
        for name in node.names:
            if node.declares:
                self.variables.append((name, value))
            else:
                self.assign(name, value)
        return value

    def command(self, dot: Any, node: nodes.Command, piped: tuple[Any, ...]) -> Any:
        self.step(node.at)
        first, rest = node.words[0], node.words[1:]
        if isinstance(first, nodes.Function):
            return self.call(dot, first, rest, piped)
        value = self.operand(dot, first)
        if callable(value):
            arguments = [self.argument(dot, word) for word in rest]
            return self.apply(first.at, "the method", value, [*arguments, *map(_settled, piped)])
        if rest or piped:
            raise self.source.error(first.at, f"can't give an argument to a {kind_of(value)}")
        return value

    def operand(self, dot: Any, node: nodes.Operand) -> Any:
        match node:
            case nodes.Literal():
                return node.value
            case nodes.Dot():
                return dot
            case nodes.Variable():
                return next(value for name, value in reversed(self.variables) if name == node.name)
            case nodes.Pipeline():
                return self.pipeline(dot, node)
            case nodes.Function():
                return self.call(dot, node, (), ())
            case nodes.Chain():
                value = self.operand(dot, node.operand)
                for field in node.fields:
                    value = self.field(node.at, value, field)
                return value

    def argument(self, dot: Any, node: nodes.Operand) -> Any:
        value = self.operand(dot, node)
        if callable(value):
            value = self.apply(node.at, "the method", value, [])
        return _settled(value)

    def field(self, at: int, value: Any, name: str) -> Any:
        missing = self.scope.missing_key
        match value:
            case Mapping() if name in value:
                return value[name]
            case Mapping() | Missing() if missing == "error":
                raise self.source.error(at, f"map has no entry for key {name!r}")
            case Mapping() | Missing():
                return MISSING if missing == "default" else None
            case None:
                raise self.source.error(at, f"nil pointer: .{name} of a value that is not there")
            case _:
                raise self.source.error(at, f"can't evaluate field {name} in type {kind_of(value)}")

    def call(
        self,
        dot: Any,
        function: nodes.Function,
        words: tuple[nodes.Operand, ...],
        piped: tuple[Any, ...],
    ) -> Any:
        if function.name in LAZY:
            return self.lazy(dot, function, words, piped)
        arguments = [self.argument(dot, word) for word in words] + [_settled(v) for v in piped]
        return self.apply(
            function.at, function.name, self.scope.functions[function.name], arguments
        )

    def lazy(
        self,
        dot: Any,
        function: nodes.Function,
        words: tuple[nodes.Operand, ...],
        piped: tuple[Any, ...],
    ) -> Any:
        if not words and not piped:
            raise self.source.error(function.at, f"wrong number of arguments for {function.name}")
        value: Any = MISSING
        for word in words:
            value = self.argument(dot, word)
            if true(value) == (function.name == "or"):
                return value
        return _settled(piped[0]) if piped else value

    def apply(self, at: int, name: str, function: Fn, arguments: Sequence[Any]) -> Any:
        try:
            _signature(function).bind(*arguments)
        except TypeError:
            raise self.source.error(
                at, f"wrong number of arguments for {name}: {len(arguments)}"
            ) from None
        try:
            value = function(*arguments)
        except TemplateError:
            raise
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            raise self.source.error(at, f"error calling {name}: {error}") from error
        if isinstance(value, str):
            self.bounded(at, len(value))
        return value


def evaluate(scope: Scope, name: str, data: Any, usage: Usage) -> str:
    """What the template writes; TemplateError where Go fails, or a limit is met; KeyError where there is none."""
    return _Evaluation(scope, name, data, usage).run()


def _settled(value: Any) -> Any:
    return None if isinstance(value, Missing) else value


@lru_cache(maxsize=512)
def _signature(function: Fn) -> inspect.Signature:
    return inspect.signature(function)


def with_builtins(functions: Mapping[str, Fn]) -> dict[str, Fn]:
    """These functions beside Go's own."""
    return {**BUILTINS, **functions}
