"""Everything that a decision about one experiment may know, and what it may ask for. Nouns only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from rollout.api.chaos import ChaosExperiment, ExperimentStatus, ProbeSpec
from rollout.api.errors import InvalidObject
from rollout.chaos.probe import ProbePoint, ProbeResult
from rollout.kube.objects import Key, Object


class LoadPhase(StrEnum):
    """Where a run's load is."""

    NONE = "none"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadView:
    """A run's load. `problem` says why it failed, `figures` in a sentence what it came to, `kept` is for the report."""

    phase: LoadPhase = LoadPhase.NONE
    problem: str = ""
    figures: str = ""
    kept: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests to the target since the injection, and how many of them proxies say they faulted.

    `refused` are the certificates that the authority says it refused to the target's pods.
    """

    at: datetime
    faulted: float = 0.0
    total: float = 0.0
    refused: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """Pods that were evicted, and what was refused."""

    pods: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """What this process knows of the current run, which it began; lost with it.

    `vouched` is when the API server last took a renewal that names the run; None where none was asked for.
    """

    samples: tuple[ProbeResult, ...] = ()
    asking: frozenset[str] = frozenset()
    load: LoadView = LoadView()
    traffic: Traffic | None = None
    killed: Killed | None = None
    vouched: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another experiment that is in a run, as far as it concerns this one.

    `faulted`: it breaks something already. `at_callers`: its fault is of layer client. `at_pods`: its fault is of layer
    upstream, and all pods of one of the two targets are the other's too.
    """

    key: Key
    namespace: str
    service: str
    max_concurrent: int
    started_at: datetime | None
    faulted: bool = False
    at_callers: bool = False
    at_pods: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One experiment and what it needs to know of the world.

    `labels` are those of the namespaces involved, by name; a namespace that is not there is not in it. `services` are
    the names of the Services of the target's namespace. `rolled_back` is when the target's canary last failed, or one whose
    analysis the experiment is part of; `on_request`: there is such a canary, which says when it runs.
    """

    obj: Object
    experiment: ChaosExperiment | InvalidObject
    status: ExperimentStatus
    deleted: datetime | None
    guarded: bool
    halted: bool
    system_namespace: str
    labels: Mapping[str, Mapping[str, str]]
    services: frozenset[str]
    others: tuple[Other, ...] = ()
    rolled_back: datetime | None = None
    on_request: bool = False
    run: RunView | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for a probe. `name` is the probe's; `spec` is None for the sequential test."""

    name: str
    point: ProbePoint
    spec: ProbeSpec | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell on the experiment, and on its target."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, in this order: guard, report, status, and only then everything else.

    `guard` puts the finalizer there (True) or takes it away (False). `vouches` says whether leases name the run from
    now on. `wake` is when to look again at the latest.
    """

    status: ExperimentStatus
    guard: bool | None = None
    report: Object | None = None
    prune: int | None = None
    opens: bool = False
    closes: bool = False
    vouches: bool = False
    asks: tuple[Ask, ...] = ()
    starts_load: bool = False
    stops_load: bool = False
    kills: bool = False
    counts_traffic: bool = False
    events: tuple[Event, ...] = field(default=())
    wake: datetime | None = None
