"""What is watched while a canary is judged, and what was seen of it. Only nouns; knows neither where from nor what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rollout.judge.checks import Check
from rollout.judge.sequential.counts import Evidence

FAILED = "request-success-rate"
SLOW = "request-duration"
"""The metrics whose requests are counted, by Flagger's names."""


class Source(StrEnum):
    """Where the counts come from."""

    NONE = ""
    """Not known yet."""
    PROXIES = "proxies"
    """The pods' own proxies, each second."""
    PROMETHEUS = "prometheus"
    """A Prometheus that scrapes them, some seconds late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A metric that is any number: the same question about each arm."""

    metric: str
    canary: Check
    reference: Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is to be watched. The arms are two workloads of one namespace, whose pods' `label` has another value in each: the
    canary, and the `reference` that it is compared with.

    `edges` are those of the latency's buckets, in milliseconds, empty where it is not judged; `address` is the Prometheus
    that is asked where the pods have no proxies.
    """

    namespace: str
    label: str
    canary: str
    reference: str
    workloads: tuple[str, str]
    address: str
    edges: tuple[float, ...] = ()
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at both arms brought, by metric. `at` rises from one to the next."""

    at: datetime
    source: Source
    evidence: Mapping[str, tuple[Evidence, ...]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Observed:
    """The looks at one trial so far that nobody has written down yet, oldest first; `trouble` is why there are no more."""

    looks: tuple[Observation, ...] = ()
    trouble: str = ""
    trial: Trial | None = None
