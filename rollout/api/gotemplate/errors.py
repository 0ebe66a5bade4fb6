"""How a template's refusal is said: which template, where in it, and why."""

from __future__ import annotations


class TemplateError(ValueError):
    """A template that does not parse, or fails when it is rendered; line and column count from 1."""

    def __init__(self, name: str, line: int, column: int, reason: str) -> None:
        self.name, self.line, self.column, self.reason = name, line, column, reason
        super().__init__(f"template {name}, line {line}, column {column}: {reason}")


class Source:
    """A template's text with its name, which turns offsets into errors that say where."""

    __slots__ = ("name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def error(self, offset: int, reason: str) -> TemplateError:
        """The error for what stands at this offset."""
        before = self.text[:offset]
        column = offset - (before.rfind("\n") + 1) + 1
        return TemplateError(self.name, before.count("\n") + 1, column, reason)
