"""A probe over the run as a picture: its values, what they had to be, and the time of the fault shaded. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from rollout.api.chaos import ProbeHistory, Sample
from rollout.chaos.page.markup import Html, join, tag
from rollout.chaos.page.scale import Scale, number, ticks

_WIDTH, _HEIGHT, _FLAT = 760, 170, 84
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 20, 30
_BOUND = re.compile(r"(<=|>=|<|>|==|!=)\s*(-?[0-9.]+(?:e-?[0-9]+)?)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The times that all pictures of a run share."""

    start: datetime
    end: datetime
    injected: datetime | None
    removed: datetime | None

    def second(self, time: datetime) -> float:
        """Seconds since the run began."""
        return (time - self.start).total_seconds()

    @property
    def seconds(self) -> float:
        """How long the run was."""
        return max(self.second(self.end), 0.001)


def timeseries(probe: ProbeHistory, span: Span) -> Html | None:
    """The picture; None where the probe was never asked."""
    if not probe.samples:
        return None
    values = [each.value for each in probe.samples if each.value is not None]
    found = _BOUND.search(probe.criteria)
    limit = float(found[2]) if found and values else None
    height = _HEIGHT if values else _FLAT
    across = Scale(0, span.seconds, _LEFT, _WIDTH - _RIGHT)
    low, high = _range([*values, *([limit] if limit is not None else [])])
    up = Scale(low, high, height - _BOTTOM, _TOP)
    return tag(
        "svg",
        tag("title", f"{probe.name} over the run"),
        tag("desc", probe.description),
        _window(span, across, height),
        _values_axis(up, low, high) if values else None,
        _limit(limit, probe.criteria, up) if limit is not None else None,
        _line(probe.samples, span, across, up) if values else None,
        _points(probe.samples, span, across, up, height),
        _times(span, across, height),
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        class_="chart",
    )


def _range(values: list[float]) -> tuple[float, float]:
    """Room for all values, from 0 where none is below; a flat line gets room as well."""
    low, high = min([0.0, *values]), max([0.0, *values])
    room = (high - low) * 0.08 or 1.0
    return (low - room if low < 0 else low), high + room


def _window(span: Span, across: Scale, height: int) -> Html | None:
    if span.injected is None:
        return None
    left = across.at(span.second(span.injected))
    right = across.at(span.second(span.removed or span.end))
    shade = tag(
        "rect",
        x=left,
        y=_TOP,
        width=max(right - left, 1.0),
        height=height - _TOP - _BOTTOM,
        class_="fault",
    )
    # At the left of the shade, or of the picture's middle where the shade is narrow.
    return join((shade, tag("text", "fault", x=left + 4, y=_TOP - 6, class_="tick")))


def _values_axis(up: Scale, low: float, high: float) -> Html:
    return join(
        join(
            (
                tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=up.at(t), y2=up.at(t), class_="grid"),
                tag("text", number(t), x=_LEFT - 6, y=up.at(t) + 4, class_="tick end"),
            )
        )
        for t in ticks(low, high, 3)
    )


def _limit(limit: float, criteria: str, up: Scale) -> Html:
    y = up.at(limit)
    line = tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="limit")
    text = tag("text", criteria, x=_WIDTH - _RIGHT - 2, y=y - 5, class_="tick end strong")
    return join((line, text))


def _line(samples: tuple[Sample, ...], span: Span, across: Scale, up: Scale) -> Html:
    """Broken where there was no value."""
    runs: list[list[str]] = [[]]
    for each in samples:
        if each.value is None:
            runs.append([])
        else:
            runs[-1].append(f"{across.at(span.second(each.time)):.1f},{up.at(each.value):.1f}")
    return join(tag("polyline", points=" ".join(run), class_="line") for run in runs if run)


def _points(samples: tuple[Sample, ...], span: Span, across: Scale, up: Scale, height: int) -> Html:
    """One sign a sample, its shape saying what its colour says."""
    flat = (_TOP + height - _BOTTOM) / 2
    drawn = []
    for each in samples:
        x = across.at(span.second(each.time))
        y = flat if each.value is None else up.at(each.value)
        value = "no value" if each.value is None else number(each.value)
        said = f"{span.second(each.time):+.1f} s: {value}, {each.verdict}"
        drawn.append(tag("g", tag("title", said), _sign(each.verdict, x, y)))
    return join(drawn)


def _sign(verdict: str, x: float, y: float) -> Html:
    match verdict:
        case "Passed":
            return tag("circle", cx=x, cy=y, r=3, class_="good")
        case "Failed":
            cross = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
            return tag("path", d=cross, class_="bad")
        case _:
            return tag("circle", cx=x, cy=y, r=3.5, class_="none")


def _times(span: Span, across: Scale, height: int) -> Html:
    foot = height - _BOTTOM
    return join(
        (
            tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=foot, y2=foot, class_="axis"),
            *(
                tag("text", f"{t:g} s", x=across.at(t), y=foot + 16, class_="tick middle")
                for t in ticks(0, span.seconds, 6)
            ),
        )
    )
