"""`k8s` probes: a condition or a field of an object, of the kinds that the controller reads anyway, and near by.

It reads with the controller's rights, so who may write experiments must not see through it what is not theirs: only
objects of the experiment's and its target's namespaces. Knows nothing of what a field means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.api.chaos import ChaosExperiment, ProbedObject, ProbeSpec
from rollout.api.kinds import CANARY, DAEMON_SET, DEPLOYMENT, POD, SERVICE, Kind
from rollout.chaos.probes.reading import Gone, Reading, Words
from rollout.judge.checks import NoData, QueryFailed, Value
from rollout.kube.client import Client
from rollout.kube.errors import KubeError, NotFound
from rollout.kube.objects import Object

_KINDS: Mapping[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind for kind in (CANARY, DAEMON_SET, DEPLOYMENT, POD, SERVICE)
}


async def read_object(client: Client, experiment: ChaosExperiment, spec: ProbeSpec) -> Reading:
    """The condition's status, or the field's value."""
    wanted = spec.object
    if wanted is None:
        return QueryFailed("it names no object", retriable=False)
    kind = _KINDS.get((wanted.api_version, wanted.kind))
    if kind is None:
        known = ", ".join(sorted(f"{kind} ({version})" for version, kind in _KINDS))
        given = f"{wanted.kind} ({wanted.api_version})"
        return QueryFailed(f"{given} is not looked at; use one of {known}", retriable=False)
    namespace = wanted.namespace or experiment.target_namespace
    if namespace not in {experiment.namespace, experiment.target_namespace}:
        return QueryFailed(
            f"namespace {namespace} is neither the experiment's nor its target's", retriable=False
        )
    try:
        found = await client.get(kind, namespace, wanted.name)
    except NotFound:
        return Gone(f"there is no {kind.kind} {namespace}/{wanted.name}")
    except KubeError as error:
        return QueryFailed(str(error), retriable=True)
    numeric = not isinstance(spec.comparator.value, str)
    return read_from(found, wanted, numeric=numeric)


def read_from(found: Object, wanted: ProbedObject, *, numeric: bool) -> Reading:
    """What is looked at of an object; pure. A number that is not there is 0, as Kubernetes leaves zeros out."""
    if wanted.condition is not None:
        conditions = (found.get("status") or {}).get("conditions") or ()
        for each in conditions:
            if isinstance(each, dict) and each.get("type") == wanted.condition:
                return Words(str(each.get("status", "Unknown")))
        return NoData(f"it has no condition {wanted.condition}")
    value = _at(found, str(wanted.field))
    if value is None and numeric:
        return Value(0.0)
    if value is None:
        return NoData(f"it has no field {wanted.field}")
    if isinstance(value, bool):
        return Words(str(value).lower())
    if isinstance(value, int | float):
        return Value(float(value))
    if isinstance(value, str):
        return Words(value)
    return QueryFailed(f"the field {wanted.field} is neither text nor a number", retriable=False)


def _at(found: Object, path: str) -> Any:
    value: Any = found
    for part in path.removeprefix(".").split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
