"""Requests of both arms from the pages of their pods' proxies: what was added between two looks.

Pages are Envoy's, with `istio_requests_total` and `istio_request_duration_milliseconds` as Istio's proxies and this
project's name and label them. Only what a pod's own proxy counted as the receiver is taken. Pure: knows no address.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from rollout.judge.evidence.counters import UnknownEdge
from rollout.judge.sequential.counts import Arm, Tick

FAMILIES = "istio_request(s_total|_duration_milliseconds)"
"""The series that are needed, as a regular expression for the page's `filter`."""
_SERIES = re.compile(
    r"^(?:envoy_(?:[A-Za-z0-9_]*?_)?)?"
    r"istio_request(?P<what>s_total|_duration_milliseconds_bucket)\{(?P<labels>.*)\} (?P<value>\S+)$"
)
_LABEL = re.compile(r'(?:^|,)(reporter|response_code|le)="([^"]*)"')

_Count: TypeAlias = tuple[str | float, float]
Page: TypeAlias = Mapping[str, _Count]
"""Each series by its text: which code or, a number, which edge it counts, and its value."""


class Pod(NamedTuple):
    """One pod of an arm. `uid` tells it from another of the same name."""

    uid: str
    address: str
    canary: bool


def read(text: str) -> Page:
    """The receiver's series of a page; lines that cannot be read are none."""
    page: dict[str, _Count] = {}
    for line in text.splitlines():
        found = _SERIES.match(line)
        if found is None:
            continue
        labels = dict(_LABEL.findall(found["labels"]))
        what = labels.get("response_code" if found["what"] == "s_total" else "le")
        if labels.get("reporter") != "destination" or what is None:
            continue
        counted: str | float = what
        try:
            value = float(found["value"])
            if found["what"] != "s_total":
                counted = float(what)
        except ValueError:
            continue
        page[line[: found.start("value")]] = counted, value
    return page


@dataclass(frozen=True, slots=True)
class Added:
    """Requests of an arm that were added: by code, and within each edge of the latency's buckets."""

    codes: Mapping[str, float]
    within: Mapping[float, float]

    def failed(self) -> Arm:
        """All of them, and those answered with 5xx, as the built-in success rate counts."""
        bad = sum(count for code, count in self.codes.items() if code.startswith("5"))
        return Arm(round(sum(self.codes.values())), (round(bad),))

    def slow(self, edges: Sequence[float]) -> Arm:
        """All of them, and those slower than each edge. Raises UnknownEdge for one that no page has."""
        total = round(self.within.get(math.inf, 0.0))
        for edge in edges if self.within else ():
            if edge not in self.within:
                raise UnknownEdge(f"the histogram has no bucket with the edge {edge:g} ms")
        fast = (round(self.within.get(edge, 0.0)) for edge in edges)
        return Arm(total, tuple(min(max(total - each, 0), total) for each in fast))


@dataclass(slots=True)
class Counting:
    """What was read last of each pod, and what was added in an arm while the other could not be read.

    The first look counts nothing, as nobody knows what came before it. A pod that appears later began at 0, as does a
    counter that went back.
    """

    _pages: dict[str, Page] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _held: dict[bool, list[_Count]] = field(default_factory=lambda: {True: [], False: []})
    _read: set[bool] = field(default_factory=set)
    _begun: bool = False

    def look(self, pods: Iterable[Pod], pages: Mapping[str, Page]) -> tuple[Added, Added] | None:
        """What the canary's and the primary's pods added; `pages` by uid, of those that answered.

        None until both arms were read; as long as the canary has no pods, the primary is enough.
        """
        pods = tuple(pods)
        for pod in pods:
            if (page := pages.get(pod.uid)) is None:
                continue
            before = self._pages.get(pod.uid)
            if before is not None or (self._begun and pod.uid not in self._known):
                self._held[pod.canary] += _differences(before or {}, page)
                self._read.add(pod.canary)
            self._pages[pod.uid] = page
        there = {pod.uid for pod in pods}
        self._pages = {uid: page for uid, page in self._pages.items() if uid in there}
        self._known = (self._known & there) | (set() if self._begun else there)
        self._begun = True
        wanted = {pod.canary for pod in pods} | {False}
        if not wanted <= self._read:
            return None
        added = _added(self._held[True]), _added(self._held[False])
        self._held, self._read = {True: [], False: []}, set()
        return added


def tick(added: tuple[Added, Added], edges: Sequence[float] = ()) -> Tick:
    """The tick of a metric: of latency where there are edges, of failures where there are none."""
    canary, primary = added
    if edges:
        return Tick(canary.slow(edges), primary.slow(edges))
    return Tick(canary.failed(), primary.failed())


def _differences(before: Page, now: Page) -> list[_Count]:
    made: list[_Count] = []
    for series, (what, value) in now.items():
        past = before.get(series, (what, 0.0))[1]
        made.append((what, value - past if value >= past else value))
    return made


def _added(held: Iterable[_Count]) -> Added:
    codes: dict[str, float] = defaultdict(float)
    within: dict[float, float] = defaultdict(float)
    for what, value in held:
        if isinstance(what, str):
            codes[what] += value
        else:
            within[what] += value
    return Added(codes, within)
