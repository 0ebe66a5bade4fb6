"""Queries of metrics as users write them: Go templates, checked as soon as they are written.

Whether what they render to is a query, the metric provider says; here it is only said whether they render at all.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from rollout.api.gotemplate import parse_errors
from rollout.api.model import Str, refusal

QUERY_FUNCTIONS: Final = frozenset(
    ["name", "namespace", "target", "service", "ingress", "route", "interval", "variables"]
)
"""What a query may name, as Flagger has it."""


def _parses(query: str) -> str:
    if not query.strip():
        raise refusal("is empty", "write a query")
    if error := parse_errors(query, QUERY_FUNCTIONS):
        raise refusal(
            f"does not parse at line {error.line}, column {error.column}: {error.reason}",
            f"a template may use {', '.join(sorted(QUERY_FUNCTIONS))}",
        )
    return query


QueryTemplate = Annotated[Str, AfterValidator(_parses), Field(json_schema_extra={"minLength": 1})]
