"""What a parsed template is made of. Every node knows its offset, so that errors can say where."""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Text:
    """Written as it is."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; None is nil."""

    at: int
    value: Scalar


@dataclass(frozen=True, slots=True)
class Dot:
    """The current value."""

    at: int


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`; `$` alone is the value that rendering began with."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function by name."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of an operand, one inside the other: `.a.b`, `$x.a`, `(…).a`."""

    at: int
    operand: Operand
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """An operand with its arguments."""

    at: int
    words: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each getting the one before as its last argument; perhaps kept in variables."""

    at: int
    commands: tuple[Command, ...]
    names: tuple[str, ...] = ()
    declares: bool = False


Operand = Literal | Dot | Variable | Function | Chain | Pipeline


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is written, unless it is kept in a variable."""

    at: int
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `with` or `range`, with what is done otherwise."""

    at: int
    keyword: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    at: int
    keyword: str


@dataclass(frozen=True, slots=True)
class Invoke:
    """Another template, with the value that it gets."""

    at: int
    name: str
    pipeline: Pipeline | None


Node = Text | Action | Branch | Jump | Invoke
