"""Turns a template's tokens into nodes (Go's text/template/parse/parse.go is the contract)."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from typing import Final

from rollout.api.gotemplate.errors import Source, TemplateError
from rollout.api.gotemplate.lexer import Token, tokens
from rollout.api.gotemplate.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Dot,
    Function,
    Invoke,
    Jump,
    Literal,
    Node,
    Operand,
    Pipeline,
    Scalar,
    Text,
    Variable,
)

_DEEPEST: Final = 60
_LONGEST: Final = 1 << 20
_KEYWORDS: Final = frozenset(
    ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"]
)
_OPERANDS: Final = frozenset(
    ["string", "raw", "char", "number", "field", "dot", "variable", "word"]
)
_ESCAPE = re.compile(
    r"\\(?:[abfnrtv\\'\"]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3})"
)

Definitions = dict[str, tuple[Node, ...]]


def parse(source: Source, functions: Collection[str]) -> Definitions:
    """The template's nodes under its own name, and those that it defines; TemplateError where Go refuses.

    Functions must be known now, as Go wants it.
    """
    if len(source.text) > _LONGEST:
        raise TemplateError(source.name, 1, 1, "the template is longer than 1 MiB")
    parser = _Parser(source, functions)
    body = parser.body(frozenset())
    return {**parser.defined, source.name: body}


class _Parser:
    def __init__(self, source: Source, functions: Collection[str]) -> None:
        self.source, self.functions = source, functions
        self.tokens = list(tokens(source))
        self.position = 0
        self.depth = 0
        self.loops = 0
        self.variables = ["$"]
        self.defined: Definitions = {}

    def peek(self) -> Token:
        return self.tokens[self.position]

    def next(self) -> Token:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def expect(self, kind: str, where: str) -> Token:
        token = self.next()
        if token.kind != kind:
            raise self.unexpected(token, where)
        return token

    def unexpected(self, token: Token, where: str) -> TemplateError:
        found = {"eof": "the end", "close": "}}"}.get(token.kind, repr(token.text))
        return self.source.error(token.start, f"unexpected {found} in {where}")

    def deeper(self, token: Token) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.source.error(token.start, f"nested deeper than {_DEEPEST}")

    def body(self, until: Collection[str]) -> tuple[Node, ...]:
        """Nodes up to one of these keywords, which stays to be read, or up to the end where there are none."""
        nodes: list[Node] = []
        while True:
            token = self.peek()
            if token.kind == "eof":
                if until:
                    raise self.source.error(token.start, "unexpected end: {{end}} is missing")
                return tuple(nodes)
            self.next()
            if token.kind == "text":
                nodes.append(Text(token.start, token.text))
                continue
            word = self.peek()
            if word.kind == "word" and word.text in until:
                return tuple(nodes)
            if (node := self.action(word)) is not None:
                nodes.append(node)

    def action(self, word: Token) -> Node | None:
        if word.kind != "word" or word.text not in _KEYWORDS:
            action = Action(word.start, self.pipeline("a command"))
            self.expect("close", "a command")
            return action
        self.next()
        match word.text:
            case "if" | "with" | "range":
                return self.branch(word)
            case "define":
                self.define(word)
                return None
            case "block":
                return self.block(word)
            case "template":
                return self.invoke(word)
            case "break" | "continue":
                if not self.loops:
                    raise self.source.error(word.start, f"{{{{{word.text}}}}} outside a range")
                self.expect("close", word.text)
                return Jump(word.start, word.text)
            case _:
                raise self.source.error(word.start, f"unexpected {{{{{word.text}}}}}")

    def branch(self, word: Token) -> Branch:
        self.deeper(word)
        known = len(self.variables)
        pipeline = self.pipeline(word.text, in_range=word.text == "range")
        self.expect("close", word.text)
        self.loops += word.text == "range"
        body = self.body({"else", "end"})
        self.loops -= word.text == "range"
        otherwise: tuple[Node, ...] = ()
        if self.next().text == "else":
            follow = self.peek()
            if follow.kind == "word" and follow.text == word.text and word.text != "range":
                otherwise = (self.branch(self.next()),)
            else:
                self.expect("close", "else")
                otherwise = self.body({"end"})
                self.next()
                self.expect("close", "end")
        else:
            self.expect("close", "end")
        del self.variables[known:]
        self.depth -= 1
        return Branch(word.start, word.text, pipeline, body, otherwise)

    def define(self, word: Token) -> None:
        if self.depth:
            raise self.source.error(word.start, "{{define}} inside another action")
        name = self.template_name("define")
        self.expect("close", "define")
        self.defined[name] = self.definition()

    def block(self, word: Token) -> Invoke:
        name = self.template_name("block")
        pipeline = self.pipeline("block")
        self.expect("close", "block")
        self.defined[name] = self.definition()
        return Invoke(word.start, name, pipeline)

    def definition(self) -> tuple[Node, ...]:
        """The body of another template, which sees none of this one's variables."""
        outer, self.variables = self.variables, ["$"]
        loops, self.loops = self.loops, 0
        self.deeper(self.peek())
        body = self.body({"end"})
        self.next()
        self.expect("close", "end")
        self.depth -= 1
        self.variables, self.loops = outer, loops
        return body

    def invoke(self, word: Token) -> Invoke:
        name = self.template_name("template")
        pipeline = None
        if self.peek().kind != "close":
            pipeline = self.pipeline("template")
        self.expect("close", "template")
        return Invoke(word.start, name, pipeline)

    def template_name(self, where: str) -> str:
        token = self.next()
        if token.kind not in {"string", "raw"}:
            raise self.unexpected(token, where)
        return str(self.constant(token))

    def pipeline(self, where: str, *, in_range: bool = False) -> Pipeline:
        start = self.peek()
        names, declares = self.declaration(in_range=in_range)
        commands = [self.command(where)]
        while self.peek().text == "|" and self.peek().kind == "mark":
            self.next()
            commands.append(self.command(where))
        for command in commands[1:]:
            if isinstance(command.words[0], Literal | Dot):
                raise self.source.error(command.at, "a value cannot take the pipeline's")
        if declares:
            self.variables.extend(names)
        return Pipeline(start.start, tuple(commands), names, declares)

    def declaration(self, *, in_range: bool) -> tuple[tuple[str, ...], bool]:
        names: list[str] = []
        begin = self.position
        while self.peek().kind == "variable":
            names.append(self.next().text)
            mark = self.peek()
            if mark.text == "," and in_range and len(names) < 2:
                self.next()
                continue
            if mark.kind == "mark" and mark.text in {":=", "="}:
                self.next()
                if mark.text == "=":
                    for name in names:
                        self.known_variable(name, mark.start)
                return tuple(names), mark.text == ":="
            break
        self.position = begin
        return (), False

    def known_variable(self, name: str, at: int) -> None:
        if name not in self.variables:
            raise self.source.error(at, f"undefined variable {name}")

    def command(self, where: str) -> Command:
        start = self.peek()
        words: list[Operand] = []
        while (token := self.peek()).kind in _OPERANDS or token.text == "(":
            if words and token.start == self.tokens[self.position - 1].end:
                raise self.unexpected(token, f"{where}: a space is missing before it")
            words.append(self.operand(where))
        if not words:
            raise self.unexpected(start, f"{where}: a value is missing")
        if isinstance(words[0], Literal) and (len(words) > 1 or words[0].value is None):
            raise self.source.error(words[0].at, "a constant is not a function")
        return Command(start.start, tuple(words))

    def operand(self, where: str) -> Operand:
        term, last = self.term(where)
        fields: list[str] = []
        while self.peek().kind == "field" and self.peek().start == last.end:
            last = self.next()
            fields.append(last.text[1:])
        if not fields:
            return term
        if isinstance(term, Chain):
            return Chain(term.at, term.operand, (*term.fields, *fields))
        if isinstance(term, Literal | Dot):
            raise self.source.error(last.start, "a constant has no fields")
        return Chain(term.at, term, tuple(fields))

    def term(self, where: str) -> tuple[Operand, Token]:
        token = self.next()
        match token.kind:
            case "dot":
                return Dot(token.start), token
            case "field":
                return Chain(token.start, Dot(token.start), (token.text[1:],)), token
            case "variable":
                self.known_variable(token.text, token.start)
                return Variable(token.start, token.text), token
            case "mark":
                self.deeper(token)
                inner = self.pipeline("parentheses")
                close = self.next()
                if close.text != ")":
                    raise self.unexpected(close, "parentheses: ) is missing")
                self.depth -= 1
                return inner, close
            case "word" if token.text in {"true", "false", "nil"}:
                value = {"true": True, "false": False, "nil": None}[token.text]
                return Literal(token.start, value), token
            case "word" if token.text in self.functions:
                return Function(token.start, token.text), token
            case "word" if token.text in _KEYWORDS:
                raise self.unexpected(token, where)
            case "word":
                raise self.source.error(token.start, f"function {token.text!r} is not defined")
            case _:
                return Literal(token.start, self.constant(token)), token

    def constant(self, token: Token) -> Scalar:
        try:
            return _constant(token)
        except ValueError:
            raise self.source.error(token.start, f"malformed constant {token.text}") from None


def _constant(token: Token) -> Scalar:
    text = token.text
    match token.kind:
        case "raw":
            return text[1:-1]
        case "string":
            return _unquote(text[1:-1])
        case "char":
            value = _unquote(text[1:-1])
            if len(value) != 1:
                raise ValueError(text)
            return ord(value)
        case _:
            return _number(text)


def _unquote(text: str) -> str:
    if "\\" in _ESCAPE.sub("", text):
        raise ValueError(text)
    return _ESCAPE.sub(lambda match: str(ast.literal_eval(f"'{match.group()}'")), text)


def _number(text: str) -> int | float:
    digits = text.replace("_", "").lstrip("+")
    unsigned = digits.lstrip("-").lower()
    if unsigned[:2] in {"0x", "0b", "0o"}:
        return int(digits, 0)
    if unsigned.isdigit():
        return int(digits, 8 if len(unsigned) > 1 and unsigned[0] == "0" else 10)
    return float(digits)
