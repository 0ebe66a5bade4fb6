"""Sets of templates that may invoke each other: what users of this package hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.api.gotemplate.builtins import LAZY, Fn
from rollout.api.gotemplate.errors import Source, TemplateError
from rollout.api.gotemplate.evaluate import (
    Definition,
    Limits,
    MissingKey,
    Scope,
    Usage,
    evaluate,
    with_builtins,
)
from rollout.api.gotemplate.parser import parse

__all__ = ["Limits", "TemplateSet", "parse_errors", "render"]


class TemplateSet:
    """Templates by name, the functions that they may call, and what a missing map key means.

    `missing_key`: `error` refuses it (Flagger's queries), `default` prints `<no value>`, `zero` is nil (Helm's charts).
    """

    def __init__(
        self,
        functions: Mapping[str, Fn] | None = None,
        *,
        missing_key: MissingKey = "error",
        limits: Limits | None = None,
    ) -> None:
        self._definitions: dict[str, Definition] = {}
        self._functions = with_builtins(functions or {})
        self._missing_key: MissingKey = missing_key
        self._limits = limits or Limits()
        self._usage: Usage | None = None

    def add(self, name: str, text: str) -> None:
        """Parse a template, and take over those that it defines; later definitions replace earlier ones.

        TemplateError where it does not parse.
        """
        source = Source(name, text)
        for defined, body in parse(source, {*self._functions, *LAZY}).items():
            self._definitions[defined] = Definition(source=source, body=body)

    def __contains__(self, name: str) -> bool:
        return name in self._definitions

    def render(self, name: str, data: Any) -> str:
        """What the template writes with this value; KeyError where there is none of that name.

        Called by a function of a template that is being rendered (Helm's `include`), it counts against the same limits.
        """
        scope = Scope(
            definitions=self._definitions, functions=self._functions, missing_key=self._missing_key
        )
        if self._usage is not None:
            return evaluate(scope, name, data, self._usage)
        self._usage = Usage(self._limits)
        try:
            return evaluate(scope, name, data, self._usage)
        finally:
            self._usage = None


def render(text: str, functions: Mapping[str, Fn], data: Any = None, *, name: str = "query") -> str:
    """One template that stands alone, rendered; a missing map key is an error. TemplateError says where."""
    templates = TemplateSet(functions, limits=Limits(output=1 << 16))
    templates.add(name, text)
    return templates.render(name, data)


def parse_errors(
    text: str, functions: frozenset[str], *, name: str = "query"
) -> TemplateError | None:
    """Why a template does not parse, or None where it does."""
    try:
        parse(Source(name, text), {*with_builtins({}), *LAZY, *functions})
    except TemplateError as error:
        return error
    return None
