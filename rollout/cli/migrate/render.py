"""How a check of a migration is shown. Pure."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.migrate.finding import Finding, Level
from rollout.cli.migrate.reading import Report
from rollout.cli.printing import columns

_MARKS = {Level.NOTE: ("·", "dim"), Level.DIFFERS: ("!", "yellow"), Level.REFUSED: ("✖", "red")}


def text(report: Report) -> RenderableType:
    """A table of the canaries, then what was found about each."""
    parts: list[RenderableType] = [_line(each) for each in report.findings]
    if not report.flaggers:
        parts.append(Text("· no Deployment of Flagger is there", style="dim"))
    if not report.canaries:
        return Group(*parts, Text("no Canaries to check"))
    table = columns("NAMESPACE", "NAME", "STATUS", "FINDINGS", "AFTERWARDS", elastic="AFTERWARDS")
    for each in report.canaries:
        count = str(sum(finding.level > Level.NOTE for finding in each.findings))
        table.add_row(each.namespace, each.name, each.phase or "-", count, each.then)
    parts += [Text(), table]
    for each in report.canaries:
        if each.findings:
            parts += [Text(), Text(f"{each.namespace}/{each.name}", style="bold")]
            parts += [_line(finding) for finding in each.findings]
    return Group(*parts)


def data(report: Report) -> dict[str, Any]:
    """The same for programs."""
    return {
        "flagger": [
            {
                "namespace": each.namespace,
                "name": each.name,
                "replicas": each.replicas,
                "flags": list(each.carried),
                "findings": [_plain(finding) for finding in each.findings()],
            }
            for each in report.flaggers
        ],
        "canaries": [
            {
                "namespace": each.namespace,
                "name": each.name,
                "phase": each.phase,
                "afterwards": each.then,
                "findings": [_plain(finding) for finding in each.findings],
            }
            for each in report.canaries
        ],
        "exitCode": report.exit_code,
    }


def _line(finding: Finding) -> Text:
    mark, style = _MARKS[finding.level]
    return Text.assemble((mark, style), f" {finding.about}")


def _plain(finding: Finding) -> dict[str, str]:
    about = finding.about
    return {
        "level": finding.level.name.lower(),
        "field": about.path,
        "reason": about.reason,
        "remedy": about.remedy,
    }
