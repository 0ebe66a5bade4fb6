"""The page: verdict and hypothesis first, then what was seen, then what to do, then what it was. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import yaml

from rollout.api.chaos import Activity, ChaosReport, ProbeHistory, ReportSpec, Verdict
from rollout.chaos.loadresult import LoadResult, UnreadableResultError, is_good
from rollout.chaos.page.advice import advice
from rollout.chaos.page.histogram import histogram
from rollout.chaos.page.markup import Html, join, tag
from rollout.chaos.page.scale import milliseconds, number
from rollout.chaos.page.style import STYLE
from rollout.chaos.page.timeseries import Span, timeseries

_TONES: Final = {Verdict.PASS: "good", Verdict.FAIL: "bad"}
_SIGNS: Final = {
    Verdict.PASS: "✔ Pass",
    Verdict.FAIL: "✖ Fail",
    Verdict.STOPPED: "॥ Stopped",
    Verdict.ERROR: "⚠ Error",
    Verdict.AWAITED: "◌ Awaited",
}
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: ChaosReport) -> str:
    """The whole document."""
    spec = report.spec
    span = Span(
        start=spec.start, end=spec.end, injected=spec.injected_at, removed=spec.recovering_at
    )
    title = f"{spec.experiment}: {spec.verdict.value}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    main = tag(
        "main",
        _head(report),
        _section("What was broken", _facts(spec)),
        _section("Steady state", _steady(spec, span)),
        _section("Load", _load(spec)) if spec.load else None,
        _section("What to do next", tag("ul", [tag("li", _words(text)) for text in advice(spec)])),
        _section("Timeline", _timeline(spec, span)),
        _section("The experiment", _experiment(spec)),
    )
    foot = tag(
        "footer", f"Run {spec.run_id}, written to ChaosReport {report.namespace}/", report.name
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', main, foot), lang='en')}\n"


def _section(title: str, *parts: Html | None) -> Html:
    return tag("section", tag("h2", title), parts)


def _head(report: ChaosReport) -> Html:
    spec = report.spec
    verdict = tag(
        "div",
        tag("strong", _SIGNS[spec.verdict]),
        tag("span", spec.reason or f"The run {spec.status}."),
        class_=f"verdict tone-{_TONES.get(spec.verdict, 'warn')}",
        role="status",
    )
    return tag(
        "header",
        tag("p", f"Chaos experiment in {report.namespace}", class_="dim"),
        tag("h1", spec.experiment),
        tag("p", spec.hypothesis, class_="lead") if spec.hypothesis else None,
        verdict,
    )


def _facts(spec: ReportSpec) -> Html:
    blast = spec.blast
    hit = f"{blast.requests_faulted} requests, {number(blast.traffic_percent)} % of those to it"
    hit += blast.others
    broken = (
        f"{(spec.recovering_at - spec.injected_at).total_seconds():.1f} s"
        if spec.injected_at and spec.recovering_at
        else "never"
    )
    facts = {
        "Target": spec.target,
        "Fault": spec.fault or "none",
        "What it hit": hit,
        "Began": f"{spec.start:%Y-%m-%d %H:%M:%S} UTC",
        "Took": f"{spec.duration:.1f} s",
        "Broken for": broken,
        "Ended": spec.status,
        "Probes passed": "-"
        if spec.probe_success_percentage is None
        else f"{spec.probe_success_percentage} %",
    }
    return tag("dl", [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts.items()])


def _steady(spec: ReportSpec, span: Span) -> Html:
    states = spec.steady_states
    said = {"Before": states.before, "While broken": states.during, "After": states.after}
    cells = [tag("div", tag("dt", name), tag("dd", _met(met))) for name, met in said.items()]
    if not spec.probes:
        return join((tag("dl", cells), tag("p", "It was watched by no probe.", class_="dim")))
    legend = "● passed   ✖ failed   ○ no answer; the time of the fault is shaded."
    return join(
        (
            tag("dl", cells),
            [_probe(each, span) for each in spec.probes],
            tag("p", legend, class_="dim"),
        )
    )


def _met(met: bool | None) -> Html:  # noqa: FBT001 - a value, not a switch
    if met is None:
        return tag("span", "not asked", class_="dim")
    return tag("span", "✔ met" if met else "✖ lost", class_=f"sign-{'good' if met else 'bad'}")


def _probe(probe: ProbeHistory, span: Span) -> Html:
    tone = {"Passed": "good", "Failed": "bad"}.get(probe.verdict, "warn")
    title = tag("h3", probe.name, " ", tag("span", probe.verdict, class_=f"sign-{tone}"))
    values = _table(
        ("Time", "Value", "Verdict"),
        (
            (
                f"{span.second(each.time):+.1f} s",
                "-" if each.value is None else number(each.value),
                each.verdict,
            )
            for each in probe.samples
        ),
        numbers={1},
    )
    return tag(
        "figure",
        title,
        tag("figcaption", probe.description, class_="dim"),
        timeseries(probe, span),
        tag("details", tag("summary", _counted(len(probe.samples))), values)
        if probe.samples
        else None,
    )


def _counted(values: int) -> str:
    return "1 value" if values == 1 else f"{values} values"


def _load(spec: ReportSpec) -> Html:
    try:
        load = LoadResult.of(spec.load or {})
    except UnreadableResultError:
        error = (spec.load or {}).get("error")
        return tag("p", str(error or "There is no result of Fortio."), class_="dim")
    codes = _table(
        ("Answer", "Requests", "Share"),
        (
            (
                _answer(code),
                str(count),
                f"{count / max(sum(load.codes.values()), 1) * 100:.2f} %",
            )
            for code, count in sorted(load.codes.items())
        ),
        numbers={1, 2},
    )
    times = _table(
        ("Percentile", "Within"),
        (
            *((f"p{percent:g}", milliseconds(value)) for percent, value in load.percentiles),
            ("average", milliseconds(load.average)),
            ("longest", milliseconds(load.longest)),
        ),
        numbers={1},
    )
    said = f"{load.sentence()}; {load.requested_qps}/s were asked for, for {load.seconds:.1f} s."
    return join(
        (
            tag("p", said),
            tag("figure", histogram(load)),
            tag("div", codes, times, class_="side"),
        )
    )


def _answer(code: str) -> Html:
    name = "no answer" if code == "-1" else code
    good = is_good(code)
    return tag("span", "✔ " if good else "✖ ", name, class_=None if good else "sign-bad")


def _timeline(spec: ReportSpec, span: Span) -> Html:
    rows = sorted(
        [*((each, "") for each in spec.run), *((each, "undone: ") for each in spec.rollbacks)],
        key=lambda row: row[0].time,
    )
    if not rows:
        return tag("p", "Nothing was done.", class_="dim")
    return tag(
        "table",
        tag("tbody", [tag("tr", _moment(each, word, span)) for each, word in rows]),
    )


def _moment(activity: Activity, word: str, span: Span) -> Iterable[Html]:
    worked = activity.status == "succeeded"
    yield tag("td", f"{span.second(activity.time):+.1f} s", class_="time num")
    yield tag(
        "td", f"{word}{activity.name}", None if worked else tag("span", " ✖", class_="sign-bad")
    )
    yield tag("td", activity.output)


def _words(text: str) -> Html:
    """A sentence whose `words` in backticks are what is typed."""
    parts = text.split("`")
    return join(tag("code", part) if index % 2 else part for index, part in enumerate(parts))


def _experiment(spec: ReportSpec) -> Html:
    text = yaml.safe_dump(dict(spec.spec), sort_keys=False, allow_unicode=True, width=100)
    return tag("details", tag("summary", "Its spec"), tag("pre", text))


def _table(columns: Iterable[str], rows: Iterable[Iterable[str | Html]], numbers: set[int]) -> Html:
    def cells(name: str, row: Iterable[str | Html]) -> list[Html]:
        return [
            tag(name, each, class_="num" if index in numbers else None)
            for index, each in enumerate(row)
        ]

    head = tag("thead", tag("tr", cells("th", columns)))
    body = tag("tbody", [tag("tr", cells("td", row)) for row in rows])
    return tag("div", tag("table", head, body), class_="scroll")
