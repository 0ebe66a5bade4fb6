"""What a decision may ask of the world. `act` carries these out in order; each may be repeated without harm.

Only nouns: knows neither when something is asked for nor how it is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from rollout.api.kinds import Kind
from rollout.delivery.affinity import Affinity
from rollout.delivery.alerts.alert import Alert
from rollout.delivery.hooks.call import HookCall
from rollout.delivery.refusals import SYNCED, Refusal
from rollout.delivery.status import Status
from rollout.judge.checks import Check
from rollout.judge.trials import Trial
from rollout.kube.objects import Object


@dataclass(frozen=True, slots=True)
class Apply:
    """Bring one object to this state; nothing is written where it is in it. `exact` paths allow nothing besides."""

    kind: Kind
    desired: Object = field(repr=False)
    exact: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.desired["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove one object; that it is gone already is fine."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Set how many pods the target asks for; nothing where there is no target."""

    kind: Kind
    name: str
    pods: int


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """Send this share of the traffic to each side, and to the baseline; `objects` are the router's writes for it.

    `affinity` are the cookies that the routes hand out, which the status has to keep.
    """

    primary: int
    canary: int
    objects: tuple[Apply, ...] = field(repr=False)
    affinity: Affinity = field(default_factory=Affinity)
    baseline: int = 0


@dataclass(frozen=True, slots=True)
class Settle:
    """Give the proxies a moment to hear of new routes before the pods behind the old ones go."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SetFinalizers:
    """Set the canary's own finalizers."""

    finalizers: tuple[str, ...]


Action: TypeAlias = Apply | Delete | Scale | SetRoutes | Settle | SetFinalizers


@dataclass(frozen=True, slots=True)
class Event:
    """Something users are told about the canary. `once`: only if it is not what they were told last."""

    message: str
    warning: bool = False
    reason: str = SYNCED
    once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about one canary now.

    Actions are carried out in order, then `status` is written, then the events and alerts are sent. `checks` and `hooks`
    ask for these to be run and for another decision with their results; `examine` names workloads whose pods are to be
    looked at before. `wake` is when to look again if nothing changes
    before; until `rest` nothing is to be asked, whatever changes. `trial` is what is to be watched from now on.
    """

    actions: tuple[Action, ...] = ()
    status: Status
    events: tuple[Event, ...] = ()
    wake: datetime | None = None
    alerts: tuple[Alert, ...] = ()
    checks: tuple[Check, ...] = ()
    hooks: tuple[HookCall, ...] = ()
    examine: tuple[str, ...] = ()
    rest: datetime | None = None
    trial: Trial | None = None
    refusal: Refusal | None = None
    probe_metrics: bool = False
