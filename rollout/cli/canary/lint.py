"""Validates files before they reach a cluster: the same models as the admission webhook, each problem with its line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rollout.api.canary import Canary, unsupported
from rollout.api.chaos import ChaosReport
from rollout.api.crdgen import DEFINITIONS
from rollout.api.errors import FieldError, InvalidObject
from rollout.api.model import Resource

_MODELS: Mapping[tuple[str, str], type[Resource]] = {
    (each.model.KIND.group, each.model.KIND.kind): each.model
    for each in DEFINITIONS
    if each.model is not ChaosReport  # nobody writes one by hand
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem; a `warning` is something that would be accepted and not acted upon."""

    file: str
    line: int
    message: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        return f"{self.file}:{self.line}: {kind}{self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What came of a file: how many objects of kinds that are known here, and what is wrong with them."""

    objects: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the API server would take all of it."""
        return all(finding.warning for finding in self.findings)


def lint(file: str, text: str) -> Linted:
    """Validate every document of a YAML file; objects of other kinds are passed over."""
    findings: list[Finding] = []
    objects = 0
    try:
        for data, lines in _documents(text):
            for item, prefix in _items(data):
                model = _model(item)
                if model is None:
                    continue
                objects += 1
                findings.extend(
                    Finding(
                        file=file,
                        line=_line(lines, prefix, error.path),
                        message=f"{model.KIND.kind} {_name(item)}: {error}",
                        warning=warning,
                    )
                    for error, warning in _problems(model, item)
                )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        findings.append(Finding(file=file, line=line, message=f"not YAML: {error.problem}"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        findings.append(Finding(file=file, line=1, message=f"not YAML: {error}"))
    findings.sort(key=lambda finding: finding.line)
    return Linted(objects=objects, findings=tuple(findings))


def _documents(text: str) -> Iterator[tuple[Any, dict[str, int]]]:
    """Every document, and the line of each of its fields."""
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            yield loader.construct_document(node), dict(_lines(node, ""))
    finally:
        loader.dispose()


def _problems(model: type[Resource], data: dict[str, Any]) -> Iterator[tuple[FieldError, bool]]:
    metadata = data.get("metadata")
    if isinstance(metadata, dict):  # files leave it to `kubectl -n`
        data = {**data, "metadata": {"namespace": "default", **metadata}}
    try:
        parsed = model.parse(data)
    except InvalidObject as error:
        yield from ((each, False) for each in error.errors)
        return
    if isinstance(parsed, Canary):
        yield from ((each, True) for each in unsupported(parsed))


def _items(data: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """The object, or those of a List, with where each is in the document."""
    if (
        isinstance(data, dict)
        and data.get("kind") == "List"
        and isinstance(data.get("items"), list)
    ):
        for index, item in enumerate(data["items"]):
            if isinstance(item, dict):
                yield item, f"items[{index}]"
    elif isinstance(data, dict):
        yield data, ""


def _model(data: dict[str, Any]) -> type[Resource] | None:
    group = str(data.get("apiVersion") or "").partition("/")[0]
    return _MODELS.get((group, str(data.get("kind"))))


def _name(data: dict[str, Any]) -> str:
    metadata = data.get("metadata")
    return str(metadata.get("name") or "?") if isinstance(metadata, dict) else "?"


def _lines(node: yaml.Node, path: str) -> Iterator[tuple[str, int]]:
    """The line of every field, by its path."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = f"{path}[{index}]"
            yield inner, value.start_mark.line + 1
            yield from _lines(value, inner)
    if not path:
        yield "", node.start_mark.line + 1


def _line(lines: Mapping[str, int], prefix: str, path: str) -> int:
    """The line of the field, or of the nearest one around it: a field that is missing has none."""
    full = f"{prefix}.{path}" if prefix and path else prefix or path
    while full and full not in lines:
        cut = max(full.rfind("."), full.rfind("["))
        full = full[:cut] if cut > 0 else ""
    return lines.get(full, 1)
