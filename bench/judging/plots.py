"""Two small figures for docs/judging.md, written as SVG by hand: a plotting library would be the largest dependency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.judging.classic import Rule

_COLOURS = ("#1f6feb", "#cf222e", "#9a6700", "#57606a")
_WIDTH, _HEIGHT = 760, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 64, 46


def draw(
    folder: Path,
    figures: Mapping[str, float],
    curves: Mapping[str, Sequence[float]],
    rules: Sequence[Rule],
) -> None:
    """Write the plots of these results."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("judge-detection.svg").write_text(_detection(curves))
    folder.joinpath("judge-false-alarms.svg").write_text(_false_alarms(figures, rules))


def _detection(curves: Mapping[str, Sequence[float]]) -> str:
    """Which part of the bad versions is rolled back by when."""
    ordered = dict(sorted(curves.items(), key=lambda item: item[0] != "sequential"))
    inner = [
        _axes(
            "rolled back, %",
            "seconds since the canary got traffic",
            "0.1 % to 5 % errors, 10 canary req/s",
        )
    ]
    most = 420.0

    def at(seconds: float, part: float) -> str:
        return f"{_x(seconds / most):.1f},{_y(part):.1f}"

    inner += [
        _text(_x(second / most), _HEIGHT - _BOTTOM + 16, f"{second}", "middle")
        for second in range(0, 421, 60)
    ]
    inner += [
        _text(_LEFT - 6, _y(percent / 100) + 4, f"{percent}", "end")
        for percent in range(0, 101, 25)
    ]
    for colour, times in zip(_COLOURS, ordered.values(), strict=False):
        points, found = [at(0, 0)], 0.0
        for time, count in sorted(Counter(each for each in times if each < most).items()):
            points.append(at(time, found))
            found += count / len(times)
            points.append(at(time, found))
        points.append(at(most, found))
        inner.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"/>'
        )
    return _svg(inner, list(ordered))


def _false_alarms(figures: Mapping[str, float], rules: Sequence[Rule]) -> str:
    """False rollbacks of equal versions by the size of clusters."""
    clusters = (1, 3, 5, 10)
    series = {"sequential": ""} | {r.name: f"_thr{r.interval:g}x{r.failures}" for r in rules}
    inner = [
        _axes(
            "rolled back, %",
            "failures in clusters of",
            "equal versions, 0.5 % errors, 10 canary req/s, 10 min",
        )
    ]
    top = 100
    for step in range(6):
        value = top * step / 5
        inner.append(_text(_LEFT - 6, _y(step / 5) + 4, f"{value:g}", "end"))
    for group, cluster in enumerate(clusters):
        middle = _x((group + 0.5) / len(clusters))
        inner.append(_text(middle, _HEIGHT - _BOTTOM + 16, f"{cluster}", "middle"))
        for index, (colour, suffix) in enumerate(zip(_COLOURS, series.values(), strict=False)):
            value = figures[f"null_0.5pct_cluster{cluster}_false_pct{suffix}"]
            left, upper = middle + (index - len(series) / 2) * 34, _y(value / top)
            inner.append(
                f'<rect x="{left:.1f}" y="{upper:.1f}" width="28" height="{_y(0) - upper:.1f}" fill="{colour}"/>'
            )
            inner.append(_text(left + 14, upper - 4, f"{value:.1f}", "middle"))
    return _svg(inner, list(series))


def _x(part: float) -> float:
    return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)


def _y(part: float) -> float:
    return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)


def _axes(upright: str, level: str, title: str) -> str:
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return "".join(
        [
            f'<path d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}" fill="none" stroke="#8c959f"/>',
            _text(_WIDTH / 2, 18, title, "middle"),
            _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, level, "middle"),
            f'<text transform="translate(16,{middle}) rotate(-90)" text-anchor="middle">{upright}</text>',
        ]
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def _svg(inner: Sequence[str], names: Sequence[str]) -> str:
    legend, left = [], float(_LEFT)
    for colour, name in zip(_COLOURS, names, strict=False):
        legend.append(f'<rect x="{left:.0f}" y="32" width="12" height="10" fill="{colour}"/>')
        legend.append(_text(left + 17, 41, name, "start"))
        left += 40 + 6 * len(name)
    style = 'font-family="sans-serif" font-size="12" fill="#24292f"'
    body = "\n".join([*inner, *legend])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" {style}>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
