"""Cuts a template into text and the tokens of its actions (Go's text/template/parse/lex.go is the contract)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rollout.api.gotemplate.errors import Source

_SPACE = " \t\r\n"
_SPACES = tuple(_SPACE)
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<raw>`[^`]*`)
  | (?P<char>'(?:[^'\\\n]|\\.)+')
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
        |(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?))(?![\w.])
  | (?P<field>\.[^\W\d]\w*)
  | (?P<dot>\.)
  | (?P<variable>\$\w*)
  | (?P<word>[^\W\d]\w*)
  | (?P<mark>:=|[=|(),])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a template: `kind` is text, open, close, eof, or what the piece of an action is."""

    kind: str
    text: str
    start: int
    end: int


def tokens(source: Source) -> Iterator[Token]:
    """All tokens, the last one of kind eof; spaces inside actions are left out. TemplateError where there is no token."""
    text, position, trim = source.text, 0, False
    while (start := text.find("{{", position)) >= 0:
        trims_before = text.startswith("{{-", start) and text[start + 3 : start + 4] in _SPACES
        yield from _text(source, position, start, before=trim, after=trims_before)
        inside = start + (3 if trims_before else 2)
        if text[inside:].lstrip(_SPACE).startswith("/*"):
            position, trim = _comment(source, start, inside)
            continue
        yield Token("open", "{{", start, inside)
        close = inside
        for token in _action(source, start, inside):
            yield token
            close = token.end
        position, trim = close, text[close - 3 : close] == "-}}"
    yield from _text(source, position, len(text), before=trim, after=False)
    yield Token("eof", "", len(text), len(text))


def _text(source: Source, start: int, end: int, *, before: bool, after: bool) -> Iterator[Token]:
    piece = source.text[start:end]
    if before:
        piece = piece.lstrip(_SPACE)
    if after:
        piece = piece.rstrip(_SPACE)
    if piece:
        yield Token("text", piece, start, end)


def _comment(source: Source, start: int, inside: int) -> tuple[int, bool]:
    text = source.text
    opening = text.index("/*", inside)
    end = text.find("*/", opening + 2)
    if end < 0:
        raise source.error(start, "the comment is not closed")
    for close, trim in (("}}", False), ("-}}", True)):
        after = end + 2
        if trim and text[after : after + 1] in _SPACES:
            after += len(text[after:]) - len(text[after:].lstrip(_SPACE))
        elif trim:
            continue
        if text.startswith(close, after):
            return after + len(close), trim
    raise source.error(start, "the comment ends before its }}")


def _action(source: Source, start: int, position: int) -> Iterator[Token]:
    text, spaced = source.text, False
    while position < len(text):
        if text.startswith("}}", position):
            yield Token("close", "}}", position, position + 2)
            return
        if spaced and text.startswith("-}}", position):
            yield Token("close", "-}}", position, position + 3)
            return
        match = _TOKEN.match(text, position)
        if match is None:
            raise source.error(
                position, f"unexpected {text[position : position + 1]!r} in an action"
            )
        position, kind = match.end(), match.lastgroup or ""
        spaced = kind == "space"
        if not spaced:
            yield Token(kind, match.group(), match.start(), position)
    raise source.error(start, "the action is not closed: }} is missing")
