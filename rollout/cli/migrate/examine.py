"""What becomes of one canary of Flagger's: the controller's own decision about it, and what docs/flagger.md says of its fields.

Pure: the snapshot is all that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import Canary, Phase, canonical, effective, unsupported
from rollout.api.errors import FieldError, InvalidObject
from rollout.api.metrictemplate import MetricTemplate
from rollout.cli.migrate.finding import CanaryReport, Finding, Level
from rollout.delivery.actions import Decision
from rollout.delivery.decide import decide, decides_everything
from rollout.delivery.phases.takeover import TAKEN_OVER
from rollout.delivery.refusals import BLOCKED
from rollout.delivery.revision import is_foreign
from rollout.delivery.snapshot import Snapshot
from rollout.delivery.status import SETTLED
from rollout.kube.objects import Key, Object
from rollout.loadtester.tasks import RefusedError, task_of

Providers = Callable[[str, str], Object | None]
"""An AlertProvider by namespace and name, or None."""

_PROVIDERS = {
    "cloudwatch": "credentials come from the environment or the pod's identity, not from profile files",
    "influxdb": "a query without records is no value (noDataPolicy), where Flagger takes 0",
    "newrelic": "the only number of a result counts, where Flagger finds no value",
    "splunk": "SignalFlow is asked by server-sent events, not by a WebSocket",
    "stackdriver": "integer points are read, where Flagger takes 0",
}
_ALLOWED = {"fortio": "/usr/local/bin/fortio"}


def examine(seen: Snapshot, alert_provider: Providers, now: datetime) -> CanaryReport:
    """One canary's report."""
    if isinstance(seen.canary, InvalidObject):
        findings = [Finding(Level.REFUSED, error) for error in seen.canary.errors]
        then = "is held until it is mended"
    else:
        findings = list(_fields(seen, seen.canary))
        findings += _metrics(seen, seen.canary)
        findings += _alerts(seen.canary, alert_provider)
        findings += _hooks(seen.canary)
        decision = decide(seen, now)
        findings += _held(decision, findings)
        then = _then(seen, seen.canary, decision)
    return CanaryReport(
        namespace=seen.namespace,
        name=seen.name,
        phase=str(seen.status.phase),
        then=then,
        findings=tuple(sorted(findings, key=lambda each: -each.level)),
    )


def _then(seen: Snapshot, canary: Canary, decision: Decision) -> str:
    phase = seen.status.phase
    if decision.refusal is not None:
        return "is held until it is mended"
    if canary.spec.suspend:
        return "stays suspended"
    taken = next((e.message for e in decision.events if e.reason == TAKEN_OVER), "")
    if taken:
        return taken.partition(": ")[2]
    if not is_foreign(seen.status.last_applied_spec):
        started = bool(seen.status.last_applied_spec)
        return "is this program's already" if started else "is initialized"
    if phase in SETTLED:
        return "a rollout begins: its target is not what the primary runs"
    if phase in {Phase.PROMOTING, Phase.FINALISING}:
        return "its promotion is finished"
    if phase is Phase.WAITING:
        return "waits for approval, as before"
    return "its analysis begins again: the target or its configs moved since Flagger's last step"


def _held(decision: Decision, known: list[Finding]) -> Iterator[Finding]:
    """What the controller would refuse, where no field was named for it."""
    if decision.refusal is None or any(each.level is Level.REFUSED for each in known):
        return
    condition = decision.status.condition(BLOCKED)
    yield Finding(Level.REFUSED, FieldError("spec", condition.message if condition else ""))


def _fields(seen: Snapshot, canary: Canary) -> Iterator[Finding]:
    provider = canonical(canary.spec.provider or seen.settings.mesh_provider)
    for error in unsupported(canary, seen.settings.mesh_provider):
        yield Finding(Level.REFUSED if decides_everything(error.path) else Level.DIFFERS, error)
    for told in effective(canary, seen.settings.mesh_provider)[1]:
        yield Finding(Level.DIFFERS, FieldError("spec.analysis", told))
    analysis = canary.spec.analysis
    if analysis.match and analysis.iterations:
        yield _note("status.canaryWeight", "is 100 during the A/B test, where Flagger has 0")
    if provider.startswith("gatewayapi"):
        yield _note("spec.service", "its route is not replaced whole: what others add to it stays")
    if analysis.mirror and any(w.type == "confirm-traffic-increase" for w in analysis.webhooks):
        reason = "confirm-traffic-increase is asked before the first share after copies, too"
        yield Finding(Level.DIFFERS, FieldError("spec.analysis.mirror", reason))


def _metrics(seen: Snapshot, canary: Canary) -> Iterator[Finding]:
    for index, metric in enumerate(canary.spec.analysis.metrics):
        if (ref := metric.template_ref) is None:
            continue
        path = f"spec.analysis.metrics[{index}].templateRef"
        key = Key(ref.namespace or canary.namespace, ref.name)
        found = seen.templates.get(key)
        if not isinstance(found, MetricTemplate):
            reason = f"there is no MetricTemplate {key}" if found is None else str(found)
            yield Finding(Level.REFUSED, FieldError(path, reason, "create it, or mend it"))
            continue
        if metric.interval is None and "interval" in found.spec.query:
            yield _note(
                path, f"MetricTemplate {key}: interval is 1m, where Flagger renders nothing"
            )
        type_ = found.spec.provider.type
        if type_ in _PROVIDERS:
            reason = f"MetricTemplate {key}: {_PROVIDERS[type_]}"
            yield Finding(Level.DIFFERS, FieldError(path, reason))


def _alerts(canary: Canary, alert_provider: Providers) -> Iterator[Finding]:
    for index, alert in enumerate(canary.spec.analysis.alerts):
        path = f"spec.analysis.alerts[{index}]"
        ref = alert.provider_ref
        key = Key(ref.namespace or canary.namespace, ref.name)
        obj = alert_provider(*key)
        if obj is None:
            reason, remedy = f"there is no AlertProvider {key}", "create it; nothing is sent"
            yield Finding(Level.DIFFERS, FieldError(f"{path}.providerRef", reason, remedy))
            continue
        try:
            provider = AlertProvider.parse(obj)
        except InvalidObject as error:
            yield Finding(Level.DIFFERS, FieldError(f"{path}.providerRef", str(error)))
            continue
        if not alert.severity:
            reason = "everything is sent, where Flagger sends nothing"
            remedy = "set error or warn for less"
            yield Finding(Level.DIFFERS, FieldError(f"{path}.severity", reason, remedy))
        if provider.spec.type == "msteams":
            reason = f"AlertProvider {key}: an adaptive card is sent, not a message card"
            remedy = "its address must be a workflow's webhook"
            yield Finding(Level.DIFFERS, FieldError(f"{path}.providerRef", reason, remedy))


def _hooks(canary: Canary) -> Iterator[Finding]:
    for index, hook in enumerate(canary.spec.analysis.webhooks):
        host = hook.url.partition("://")[2].partition("/")[0].partition(".")[0]
        if "loadtester" not in host:
            continue
        path = f"spec.analysis.webhooks[{index}]"
        reason = "Flagger's load tester goes on answering, as long as it is there"
        yield _note(f"{path}.url", reason)
        metadata = {name: str(value) for name, value in hook.metadata.items()}
        if "cmd" not in metadata:
            continue
        try:
            task_of(canary.name, metadata, _ALLOWED)
        except RefusedError as error:
            reason = f"`rollout loadtester` would refuse it: {error}"
            yield Finding(Level.DIFFERS, FieldError(f"{path}.metadata", reason))


def _note(path: str, reason: str) -> Finding:
    return Finding(Level.NOTE, FieldError(path, reason))
