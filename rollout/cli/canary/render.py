"""How canaries are shown: the table of many, the tree of one, its history. Pure: data in, something that rich prints out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from rollout.cli.canary import words
from rollout.cli.canary.view import CanaryView, PodView, WorkloadView
from rollout.cli.canary.words import STYLES, age, bar, glyph, span
from rollout.cli.printing import columns
from rollout.delivery.judging.record import JudgeRecord, MetricRecord, Ruled
from rollout.delivery.records import CheckRecord, StepRecord, Verdict

_VERDICTS = {
    Verdict.PASSED: words.GOOD,
    Verdict.FAILED: words.BAD,
    Verdict.NO_DATA: words.WARNING,
    Verdict.ERROR: words.WARNING,
}
_RULINGS = {
    Ruled.NOT_WORSE: words.GOOD,
    Ruled.WORSE: words.BAD,
    Ruled.UNDECIDED: words.BUSY,
    Ruled.INCONCLUSIVE: words.WARNING,
}


def listing(views: Iterable[CanaryView], now: datetime, *, namespaces: bool) -> RenderableType:
    """All canaries, a line each."""
    table = columns(
        *(["NAMESPACE"] if namespaces else []),
        "NAME",
        "STATUS",
        "WEIGHT",
        "STEPS",
        "CHECKS",
        "MOVED",
        "REASON",
        elastic="REASON",
    )
    for view in views:
        if view.iterations_wanted:
            steps = f"{bar(view)} {view.iterations}/{view.iterations_wanted}"
        else:
            steps = f"{bar(view)} {view.step}/{len(view.steps)}" if view.steps else "-"
        table.add_row(
            *([view.namespace] if namespaces else []),
            view.name,
            _state(view),
            f"{view.weight}%",
            steps,
            f"{view.failed_checks}/{view.threshold}",
            age(view.moved, now),
            _rest(view.reason),
        )
    return table


def tree(view: CanaryView, now: datetime) -> RenderableType:
    """One canary: its state, both workloads with their pods, and the last checks."""
    root = Tree(_title(view))
    for workload in view.workloads:
        branch = root.add(_workload(workload))
        for pod in workload.pods:
            branch.add(_pod(pod, now))
    if view.judge:
        branch = root.add(_judge_title(view.judge))
        for metric in view.judge.metrics:
            branch.add(_judged(metric))
    if view.checks:
        step = view.checks[-1]
        branch = root.add(_step_title(step, now))
        for check in step.checks:
            branch.add(_check(check))
    return Group(_facts(view, now), Text(), root)


def history(view: CanaryView, now: datetime) -> RenderableType:
    """The last rollouts, newest first."""
    table = columns("REVISION", "OUTCOME", "STARTED", "TOOK", "REASON", elastic="REASON")
    for run in reversed(view.history):
        sign = {"Succeeded": words.GOOD, "Initialized": words.GOOD, "Failed": words.BAD}.get(
            run.phase, words.BUSY
        )
        table.add_row(
            run.revision,
            Text(f"{sign} {run.phase}", STYLES[sign]),
            f"{age(run.started, now)} ago",
            span((run.ended or now) - run.started),
            _rest(run.reason),
        )
    return table


def line(view: CanaryView) -> str:
    """The state in one line, for logs: printed whenever it changes."""
    checks = f", failed checks {view.failed_checks}/{view.threshold}" if view.failed_checks else ""
    paused = ", paused" if view.suspended else ""
    return f"{view.namespace}/{view.name} {view.phase} weight {view.weight}%{checks}{paused}"


def _facts(view: CanaryView, now: datetime) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("Name:", f"{view.namespace}/{view.name}")
    facts.add_row("Status:", _state(view))
    if message := view.reason or view.message:
        facts.add_row("Message:", message)
    facts.add_row("Target:", f"{view.kind} {view.target}")
    weight = f"canary {view.weight}%, primary {100 - view.weight - view.baseline}%"
    if view.baseline:
        weight += f", baseline {view.baseline}%"
    if view.iterations_wanted:
        weight += f"  {bar(view)} check {view.iterations} of {view.iterations_wanted}"
    elif view.steps:
        weight += f"  {bar(view)} step {view.step} of {len(view.steps)}"
    facts.add_row("Weight:", weight)
    facts.add_row("Failed checks:", f"{view.failed_checks} of {view.threshold}")
    if view.next_step is not None and view.judge is not None:
        facts.add_row("Next step:", "as soon as the judge allows")
    elif view.next_step is not None:
        left = view.next_step - now
        facts.add_row("Next step:", f"in {span(left)}" if left.total_seconds() > 0 else "due")
    elif view.moved:
        facts.add_row("Moved:", f"{age(view.moved, now)} ago")
    return facts


def _title(view: CanaryView) -> Text:
    sign = glyph(view)
    return Text.assemble(f"{words.CANARY} {view.name}  ", (f"{sign} {view.phase}", STYLES[sign]))


def _state(view: CanaryView) -> Text:
    sign = glyph(view)
    phase = f"{view.phase}, paused" if view.suspended else view.phase
    if not view.noticed:
        phase += ", new revision"
    return Text(f"{sign} {phase}", STYLES[sign])


def _workload(workload: WorkloadView) -> Text:
    if not workload.found:
        sign = words.BUSY if workload.role == "primary" else words.BAD
        return Text.assemble(
            f"{words.WORKLOAD} {workload.name} ({workload.role})  ",
            (f"{sign} not there", STYLES[sign]),
        )
    if workload.selects:
        state = Text(f"selects {workload.selects}", "dim")
    elif not workload.wanted:
        state = Text("• scaled down", "dim")
    else:
        whole = min(workload.updated, workload.available) >= workload.wanted
        sign = words.GOOD if whole else words.BUSY
        state = Text(f"{sign} {workload.available}/{workload.wanted} available", STYLES[sign])
    return Text.assemble(
        f"{words.WORKLOAD} {workload.name} ({workload.role})  {workload.weight}%  ",
        state,
        (f"  {', '.join(workload.images)}", "dim"),
    )


def _pod(pod: PodView, now: datetime) -> Text:
    if pod.trouble:
        sign = words.BAD
    else:
        whole = pod.phase == "Running" and pod.ready == pod.containers
        sign = words.GOOD if whole else words.BUSY
    restarts = f"  restarts {pod.restarts}" if pod.restarts else ""
    text = Text.assemble(
        f"{words.POD} {pod.name}  ",
        (f"{sign} {pod.phase}", STYLES[sign]),
        f"  ready {pod.ready}/{pod.containers}{restarts}  {age(pod.started, now)}",
    )
    return text.append(f"  {pod.trouble}", STYLES[words.BAD]) if pod.trouble else text


def _judge_title(judge: JudgeRecord) -> Text:
    sign = _RULINGS[judge.verdict]
    source = f"  by {judge.source}" if judge.source else ""
    return Text.assemble(
        f"{words.CHECK} judge  ", (f"{sign} {judge.verdict}", STYLES[sign]), (source, "dim")
    )


def _judged(metric: MetricRecord) -> Text:
    sign = _RULINGS[metric.verdict]
    text = Text.assemble((f"{sign} ", STYLES[sign]), f"{metric.name}  canary {metric.canary}")
    text.append(f", {metric.reference}; evidence {metric.evidence} of {metric.bound}")
    if metric.verdict is Ruled.UNDECIDED and metric.more:
        text.append(f", about {metric.more} more canary requests", "dim")
    return text


def _step_title(step: StepRecord, now: datetime) -> Text:
    sign = words.GOOD if step.advanced else words.BAD
    went = "went on" if step.advanced else "held"
    return Text.assemble(
        f"{words.CHECK} checks at {step.weight}%  ",
        (f"{sign} {went}", STYLES[sign]),
        (f"  {age(step.time, now)} ago", "dim"),
    )


def _check(check: CheckRecord) -> Text:
    sign = _VERDICTS[check.verdict]
    bounds = f" (wants {check.threshold})" if check.threshold else ""
    value = check.value or "no value"
    text = Text.assemble((f"{sign} ", STYLES[sign]), f"{check.metric}  {value}{bounds}")
    return text.append(f"  {check.message}", STYLES[sign]) if check.message else text


def _rest(reason: str) -> Text:
    """What is left of the line is the reason's; the other columns keep their width."""
    return Text(reason, no_wrap=True, overflow="ellipsis")
