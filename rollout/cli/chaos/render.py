"""How experiments are shown: the list of many, one with its probes, a report in text. Pure: data in, something to print out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollout.api.chaos import Phase, ReportSpec, Verdict
from rollout.chaos.loadresult import LoadResult, UnreadableResultError
from rollout.chaos.page.advice import advice
from rollout.cli.canary import words
from rollout.cli.canary.words import STYLES, age, span
from rollout.cli.chaos.view import ExperimentView
from rollout.cli.printing import columns

_VERDICTS: Final = {
    Verdict.PASS: words.GOOD,
    Verdict.FAIL: words.BAD,
    Verdict.STOPPED: words.PAUSED,
    Verdict.ERROR: words.WARNING,
    Verdict.AWAITED: words.BUSY,
}
_ASKED: Final = {
    "Passed": words.GOOD,
    "Failed": words.BAD,
    "Awaited": words.BUSY,
}


def listing(views: Iterable[ExperimentView], now: datetime, *, namespaces: bool) -> RenderableType:
    """All experiments, a line each."""
    names = ("NAME", "PHASE", "VERDICT", "SERVICE", "FAULT", "REMAINING", "AGE", "EVIDENCE")
    table = columns(*(["NAMESPACE"] if namespaces else []), *names, elastic="EVIDENCE")
    for view in views:
        table.add_row(
            *([view.namespace] if namespaces else []),
            view.name,
            _phase(view),
            _verdict(view.verdict),
            view.service,
            view.fault or "-",
            _remaining(view, now),
            age(view.created, now),
            Text(view.why, no_wrap=True, overflow="ellipsis"),
        )
    return table


def whole(view: ExperimentView, now: datetime) -> RenderableType:
    """One experiment: what it is to show, where it is, what it hit, and its probes."""
    parts: list[RenderableType] = [_facts(view, now)]
    if view.probes:
        parts += [Text(), _probes(view)]
    return Group(*parts)


def line(view: ExperimentView) -> str:
    """The state in one line, for logs: printed whenever it changes."""
    why = f": {view.why}" if view.why else ""
    verdict = "" if view.verdict is Verdict.AWAITED else f" {view.verdict}"
    paused = ", paused" if view.paused else ""
    return f"{view.namespace}/{view.name} {view.phase}{verdict}{paused}{why}"


def report(spec: ReportSpec) -> RenderableType:
    """A report for a terminal; the page has pictures besides."""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("Experiment:", spec.experiment)
    if spec.hypothesis:
        facts.add_row("Hypothesis:", spec.hypothesis)
    facts.add_row("Verdict:", _verdict(spec.verdict))
    facts.add_row("Reason:", spec.reason)
    facts.add_row("Target:", spec.target)
    facts.add_row("Fault:", spec.fault or "none")
    facts.add_row("Began:", f"{spec.start:%Y-%m-%d %H:%M:%S} UTC, for {spec.duration:.1f}s")
    facts.add_row("Hit:", f"{spec.blast.requests_faulted} requests{spec.blast.others}")
    if load := _load(spec):
        facts.add_row("Load:", load)
    parts: list[RenderableType] = [facts]
    if spec.probes:
        table = columns("PROBE", "MODE", "VERDICT", "FINDING", elastic="FINDING")
        for each in spec.probes:
            table.add_row(each.name, each.mode, _asked(each.verdict), each.description)
        parts += [Text(), table]
    happened = sorted((*spec.run, *spec.rollbacks), key=lambda each: each.time)
    if happened:
        table = columns("TIME", "WHAT", "OUTPUT", elastic="OUTPUT")
        for activity in happened:
            seconds = (activity.time - spec.start).total_seconds()
            table.add_row(f"{seconds:+.1f}s", activity.name, activity.output)
        parts += [Text(), table]
    parts += [Text(), *(Text(f"- {each}") for each in advice(spec))]
    return Group(*parts)


def _load(spec: ReportSpec) -> str:
    if spec.load is None:
        return ""
    try:
        return LoadResult.of(spec.load).sentence()
    except UnreadableResultError:
        return str(spec.load.get("error") or "no result")


def _facts(view: ExperimentView, now: datetime) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("Name:", f"{view.namespace}/{view.name}")
    if view.hypothesis:
        facts.add_row("Hypothesis:", view.hypothesis)
    facts.add_row("Phase:", _phase(view))
    facts.add_row("Verdict:", _verdict(view.verdict))
    if view.why:
        facts.add_row("Reason:", view.why)
    facts.add_row("Target:", view.service)
    facts.add_row("Fault:", (view.fault or "none") + (" (dry run)" if view.dry_run else ""))
    if view.remaining(now) is not None:
        facts.add_row("Remaining:", _remaining(view, now))
    if view.injected is not None:
        hit = f"{view.blast.requests_faulted} requests, {view.blast.traffic_percent:.3g}%"
        facts.add_row("Hit:", hit + view.blast.others)
    for each in view.conditions:
        reason = f"  {each.message or each.reason}" if each.status != "True" else ""
        facts.add_row(f"{each.type}:", f"{each.status}{reason}")
    past = view.history
    runs = (past.passed_runs, past.failed_runs, past.stopped_runs, past.error_runs)
    if any(runs):
        said = zip(("passed", "failed", "stopped", "error"), runs, strict=True)
        facts.add_row("Runs:", ", ".join(f"{count} {name}" for name, count in said if count))
    if view.cron:
        due = f", next {view.next_run:%Y-%m-%d %H:%M} UTC" if view.next_run else ""
        facts.add_row("Schedule:", view.cron + due)
    if view.report:
        facts.add_row("Report:", f"{view.report} (`rollout chaos report {view.name}`)")
    return facts


def _probes(view: ExperimentView) -> Table:
    table = columns("PROBE", "MODE", "VERDICT", "FINDING", elastic="FINDING")
    for each in view.probes:
        table.add_row(each.name, each.mode, _asked(each.verdict), each.description)
    return table


def _asked(verdict: str) -> Text:
    sign = _ASKED.get(verdict, words.WARNING)
    return Text(f"{sign} {verdict}", STYLES[sign])


def _verdict(verdict: Verdict) -> Text:
    sign = _VERDICTS[verdict]
    return Text(f"{sign} {verdict}", STYLES[sign])


def _phase(view: ExperimentView) -> Text:
    if view.invalid:
        return Text(f"{words.WARNING} Invalid", STYLES[words.WARNING])
    phase = f"{view.phase}, paused" if view.paused else str(view.phase)
    style = "bold red" if view.phase in {Phase.INJECTING, Phase.RUNNING} else ""
    return Text(phase, style)


def _remaining(view: ExperimentView, now: datetime) -> str:
    left = view.remaining(now)
    return "-" if left is None else span(left)
