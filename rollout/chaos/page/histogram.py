"""The load's latencies as a picture: a bar for each of Fortio's buckets, and a line for each percentile. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.chaos.loadresult import Bucket, LoadResult
from rollout.chaos.page.markup import Html, join, tag
from rollout.chaos.page.scale import Scale, log_ticks, milliseconds, ticks

_WIDTH, _HEIGHT = 760, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 34, 34
_NEAR = 60.0
_NARROWEST = 9.0


def histogram(load: LoadResult) -> Html | None:
    """The picture; None of no requests."""
    buckets = [each for each in load.histogram if each.count]
    if not buckets:
        return None
    low, high = max(buckets[0].start, 1e-5), max(buckets[-1].end, 2e-5)
    wide = high > 8 * low
    across = Scale(low, max(high, low * 1.001), _LEFT, _WIDTH - _RIGHT, log=wide)
    buckets = list(_wide_enough(buckets, across))
    most = max(each.count for each in buckets) / load.requests * 100
    up = Scale(0, most, _HEIGHT - _BOTTOM, _TOP)
    bars = [_bar(each, load.requests, across, up) for each in buckets]
    edges = log_ticks(low, high) if wide else ticks(low, high, 6)
    return tag(
        "svg",
        tag("title", f"How long {load.requests} requests took"),
        tag("desc", load.sentence()),
        _shares(up, most),
        bars,
        _times(across, edges),
        _percentiles(load, across),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        class_="chart",
    )


def _bar(bucket: Bucket, requests: int, across: Scale, up: Scale) -> Html:
    share = bucket.count / requests * 100
    left, right, top = across.at(bucket.start), across.at(bucket.end), up.at(share)
    said = f"{milliseconds(bucket.start)} to {milliseconds(bucket.end)}: {bucket.count} requests, {share:.1f} %"
    height = max(_HEIGHT - _BOTTOM - top, 1.0)
    shape = tag(
        "rect",
        x=left,
        y=_HEIGHT - _BOTTOM - height,
        width=max(right - left - 1, 1.5),
        height=height,
        class_="bar",
    )
    return tag("g", tag("title", said), shape)


def _shares(up: Scale, most: float) -> Html:
    return join(
        join(
            (
                tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=up.at(t), y2=up.at(t), class_="grid"),
                tag("text", f"{t:g} %", x=_LEFT - 6, y=up.at(t) + 4, class_="tick end"),
            )
        )
        for t in ticks(0, most, 3)
    )


def _times(across: Scale, edges: tuple[float, ...]) -> Html:
    foot = _HEIGHT - _BOTTOM
    return join(
        (
            tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=foot, y2=foot, class_="axis"),
            *(
                tag("text", milliseconds(t), x=across.at(t), y=foot + 16, class_="tick middle")
                for t in edges
            ),
        )
    )


def _percentiles(load: LoadResult, across: Scale) -> Html:
    """A line each; those that are near one another share one name."""
    drawn, names, last = [], list[str](), -1e9
    for percent, seconds in load.percentiles:
        x = across.at(seconds)
        drawn.append(tag("line", x1=x, x2=x, y1=_TOP - 12, y2=_HEIGHT - _BOTTOM, class_="mark"))
        if names and x - last >= _NEAR:
            drawn.append(_name(names, last))
            names = []
        names.append(f"p{percent:g}")
        last = x
    return join([*drawn, _name(names, last)] if names else drawn)


def _name(names: list[str], x: float) -> Html:
    side = "end" if x > _WIDTH / 2 else "start"
    return tag("text", ", ".join(names), x=x, y=_TOP - 16, class_=f"tick {side}")


def _wide_enough(buckets: list[Bucket], across: Scale) -> Iterator[Bucket]:
    """The same requests in buckets that can be seen: neighbours are put together until they are wide."""
    held = buckets[0]
    for each in buckets[1:]:
        narrow = across.at(held.end) - across.at(held.start) < _NARROWEST
        if narrow and each.start <= held.end:
            held = Bucket(held.start, each.end, each.percent, held.count + each.count)
        else:
            yield held
            held = each
    yield held
