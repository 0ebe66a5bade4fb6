"""How commands print: text for people, JSON or YAML for programs. Knows nothing of what is printed."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import structlog
import typer
import yaml
from rich.console import Console, RenderableType
from rich.table import Table

_WIDE = 200
_LONGEST = 10_000


class Output(StrEnum):
    """How something is printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text, json or yaml.")]


def text_only(kind: str, output: Output, *, watch: bool) -> None:
    """Refuse to watch in a form that is for programs, which have kubectl for it."""
    if watch and output is not Output.TEXT:
        raise typer.BadParameter(
            f"--watch shows text; for machines, use `kubectl get {kind} -w -o json`"
        )


def out(text: RenderableType, data: Any, output: str) -> None:
    """Print either the text or the data, which is JSON's already (see `jsonable`)."""
    if output == Output.JSON:
        print(json.dumps(data, indent=2, ensure_ascii=False))
    elif output == Output.YAML:
        print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="")
    else:
        screen = console()
        if isinstance(text, Table) and not screen.is_terminal:
            # Programs look for words, which would be cut off.
            boundless = screen.options.update(max_width=_LONGEST)
            screen.width = max(_WIDE, screen.measure(text, options=boundless).maximum)
        screen.print(text)


def console() -> Console:
    """Colours only at a terminal; elsewhere lines as long as they are."""
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made = Console(highlight=False, markup=False, emoji=False, width=_WIDE)
    return made


def columns(*names: str, elastic: str = "") -> Table:
    """A table without lines, as kubectl's; the `elastic` column may be broken into several lines."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        made.add_column(name, no_wrap=name != elastic)
    return made


def jsonable(value: Any) -> Any:
    """The same in what JSON has: times as text, spans of time as seconds."""
    match value:
        case dict():
            return {key: jsonable(each) for key, each in value.items()}
        case list() | tuple():
            return [jsonable(each) for each in value]
        case datetime():
            return value.astimezone(UTC).isoformat()
        case timedelta():
            return value.total_seconds()
        case str():
            return str(value)
        case _:
            return value


def quiet() -> None:
    """What watches log would break the picture."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
