"""What every kind of target answers: how its primary is made, scaled and promoted, and whether its pods may serve.

Kinds of targets are pure: they see objects and answer objects. They know nothing of phases, routes and scalers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from rollout.api.kinds import Kind
from rollout.delivery.objects.configs import ConfigRef
from rollout.delivery.readiness import Readiness
from rollout.kube.objects import Object

Label: TypeAlias = tuple[str, str]
"""The label, with its value, that tells the target's pods from the primary's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a primary is made of; `promotion` is the id that says which revision it got."""

    owner: Object = field(repr=False)
    target: Object = field(repr=False)
    label: Label
    configs: Mapping[ConfigRef, Object] = field(default_factory=dict, repr=False)
    promotion: str = ""
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How readiness is judged: `threshold` in percent of the updated pods, `since` is when the canary last moved."""

    threshold: int
    deadline: timedelta
    since: datetime
    now: datetime


Lookup: TypeAlias = Callable[[Kind, str], Object | None]
"""An object of the target's namespace as last seen, by kind and name."""


class Target(Protocol):
    """One kind of target."""

    @property
    def kind(self) -> Kind:
        """What it is to the API server."""
        ...

    @property
    def makes_pods(self) -> bool:
        """Whether it makes pods, which the generated services select."""
        ...

    @property
    def names_pods(self) -> bool:
        """Whether its pods are named after it directly, not after what it makes in between."""
        ...

    @property
    def exact(self) -> tuple[str, ...]:
        """Where a promoted primary must be just as desired, removals included."""
        ...

    def unusable(self, target: Object) -> str:
        """Why this one cannot be delivered, with the remedy; empty where it can."""
        ...

    def label(self, target: Object, candidates: Iterable[str]) -> Label | None:
        """The first candidate that its selector uses; None where it uses none."""
        ...

    def template(self, target: Object) -> Object:
        """The template of its pods as its author wrote it; empty where it makes no pods."""
        ...

    def revision(self, target: Object) -> str:
        """The name of its present revision."""
        ...

    def pods(self, workload: Object) -> int:
        """How many pods it asks for, as far as that can be scaled: 0 where it is scaled to zero."""
        ...

    def scaled(self, pods: int) -> Object:
        """The part of the object that makes it ask for so many; empty where it cannot be scaled."""
        ...

    def readiness(self, workload: Object, patience: Patience) -> Readiness:
        """Whether its pods may have traffic."""
        ...

    def created(self, source: Source, pods: int) -> Object:
        """The primary as it is created, from the target as it is."""
        ...

    def promoted(self, source: Source) -> Object:
        """What a promotion makes of the primary; all else of it stays as it is."""
        ...

    def beside(self, source: Source, seen: Lookup) -> tuple[Object, ...]:
        """The Services that it needs besides the generated ones."""
        ...

    def promotion_of(self, primary: Object) -> str:
        """Which promotion the primary came from; empty where it does not say."""
        ...

    def runs(self, primary: Object, source: Source) -> bool:
        """Whether the primary is the copy of the target, whoever made it."""
        ...
