"""Everything that deciding about one canary may know, frozen: the canary, its objects as last seen, answers to checks.

Only nouns: knows neither where the objects were read nor what will be decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollout.api.canary import Canary
from rollout.api.errors import InvalidObject
from rollout.api.kinds import Kind
from rollout.api.metrictemplate import MetricTemplate
from rollout.delivery.experiments import Experiment
from rollout.delivery.hooks.call import HookCall, Outcome
from rollout.delivery.objects.configs import ConfigRef
from rollout.delivery.objects.metadata import baseline_name, primary_name
from rollout.delivery.status import Status
from rollout.delivery.targets import target_of
from rollout.delivery.targets.target import Target
from rollout.judge.checks import Answer, Check
from rollout.judge.trials import Observed
from rollout.kube.objects import Key, Object, Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for all canaries of one controller; names and defaults are those of Flagger's flags."""

    mesh_provider: str = "istio"
    metrics_server: str = "http://prometheus:9090"
    selector_labels: tuple[str, ...] = ("app", "name", "app.kubernetes.io/name")
    include_label_prefixes: tuple[str, ...] = ()
    config_tracking: bool = True
    minimum_interval: timedelta = timedelta(seconds=10)
    settle_seconds: float = 2.0
    no_cross_namespace_refs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One canary and what it needs, as last seen. `canary` is what is wrong with it where it cannot be read.

    `objects` are those of the canary's namespace that delivery asks for by kind and name; `configs` are the ones that
    the target's template names and that are tracked. `rival` is another canary that had the target first. `templates` are
    the MetricTemplates that its metrics name. `answers` are there right after the checks that a decision asked for,
    and while hooks are asked beside them; `hooks` from when the hooks that decisions asked for answered until a decision
    asks for none. `rest` is until when a decision wanted nothing to be asked. `pods` are those of the workloads that a
    decision wanted to examine. `experiments` are the ChaosExperiments about the canary's service, and those of its analysis.
    """

    obj: Object = field(repr=False)
    canary: Canary | InvalidObject
    status: Status
    settings: Settings
    objects: Mapping[tuple[Kind, str], Object] = field(default_factory=dict, repr=False)
    configs: Mapping[ConfigRef, Object] = field(default_factory=dict, repr=False)
    rival: str = ""
    templates: Mapping[Key, MetricTemplate | InvalidObject] = field(default_factory=dict)
    answers: Mapping[Check, Answer] | None = None
    hooks: Mapping[HookCall, Outcome] = field(default_factory=dict)
    rest: datetime | None = None
    pods: Mapping[str, Objects] | None = field(default=None, repr=False)
    observed: Observed = field(default_factory=Observed)
    experiments: tuple[Experiment, ...] = ()

    @property
    def namespace(self) -> str:
        """The canary's namespace."""
        return str(self.obj["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The canary's name."""
        return str(self.obj["metadata"]["name"])

    def seen(self, kind: Kind, name: str) -> Object | None:
        """One of the objects, or None where there is none of that name."""
        return self.objects.get((kind, name))

    def all_seen(self, kind: Kind) -> Objects:
        """Those of a kind, by name."""
        found = sorted(name for each, name in self.objects if each == kind)
        return [self.objects[kind, name] for name in found]

    @property
    def disturbances(self) -> tuple[Experiment, ...]:
        """The ChaosExperiments about the canary's service that are not part of its analysis."""
        if not isinstance(self.canary, Canary):
            return ()
        apex, analysis = self.canary.apex_name, self.canary.spec.analysis
        own = {(self.namespace, ref.name) for ref in analysis.chaos}
        return tuple(
            each for each in self.experiments if each.service == apex and each.key not in own
        )

    @property
    def target_name(self) -> str:
        """The target's name; empty where the canary does not say."""
        spec = self.obj.get("spec") or {}
        return str((spec.get("targetRef") or {}).get("name") or "")

    @property
    def target_kind(self) -> Target:
        """What kind of target it is."""
        return target_of(self.obj)

    @property
    def target(self) -> Object | None:
        """The target."""
        return self.seen(self.target_kind.kind, self.target_name)

    @property
    def primary(self) -> Object | None:
        """The primary."""
        return self.seen(self.target_kind.kind, primary_name(self.target_name))

    @property
    def baseline(self) -> Object | None:
        """The fresh baseline, or whatever has its name."""
        return self.seen(self.target_kind.kind, baseline_name(self.target_name))
