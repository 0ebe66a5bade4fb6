"""Nothing of Istio's resources is dropped silently: whatever field is set changes what the mesh does, or is said.

The samples (`fields/KIND.yaml`) set every field there is; each is taken away, and somebody must notice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from rollout.api.errors import InvalidObject
from rollout.api.istio import (
    DestinationRule,
    Gateway,
    ServiceEntry,
    Sidecar,
    VirtualService,
    WorkloadEntry,
)
from rollout.api.istio.peerauthentication import PeerAuthentication
from rollout.api.istio.telemetry import Telemetry
from rollout.api.model import Resource
from rollout.mesh.ingest.destinationrules import destination_policy
from rollout.mesh.ingest.gateways import gateway
from rollout.mesh.ingest.peers import peer_policy
from rollout.mesh.ingest.serviceentries import declared
from rollout.mesh.ingest.sidecars import sidecar_scope
from rollout.mesh.ingest.telemetry import telemetry_policy
from rollout.mesh.ingest.virtualservices import route_table
from rollout.mesh.ingest.workloadentries import member

Json = dict[str, Any]
Step = str | int
READERS: dict[type[Resource], Callable[[Any], Any]] = {
    DestinationRule: destination_policy,
    Gateway: gateway,
    PeerAuthentication: peer_policy,
    ServiceEntry: declared,
    Sidecar: sidecar_scope,
    Telemetry: telemetry_policy,
    VirtualService: route_table,
    WorkloadEntry: member,
}
SAMPLES = Path(__file__).parent / "fields"
NOT_MISSED = {
    "Sidecar": {"egress[].port.protocol", "egress[].port.name"},  # services' own ports say it
}


def samples(kind: type[Resource]) -> list[Json]:
    return list(yaml.safe_load_all((SAMPLES / f"{kind.__name__}.yaml").read_text()))


def made(kind: type[Resource], spec: Json) -> object:
    """What comes of it; how it is refused where it is."""
    obj = {
        "apiVersion": kind.KIND.api_version, "kind": kind.__name__,
        "metadata": {"namespace": "shop", "name": "sample"}, "spec": spec,
    }  # fmt: skip
    try:
        return READERS[kind](kind.parse(obj))
    except InvalidObject as invalid:
        return str(invalid)


def parts(value: object, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """The way to each part of it."""
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for step, each in pairs:
        yield (*path, step)
        yield from parts(each, (*path, step))


def without(spec: Json, path: tuple[Step, ...]) -> Json:
    found: Any = copy.deepcopy(spec)
    parent = found
    for step in path[:-1]:
        parent = parent[step]
    del parent[path[-1]]
    return found  # type: ignore[no-any-return]


def written(path: tuple[Step, ...]) -> str:
    """As the samples' readers would write it, numbers apart."""
    text = "".join("[]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


@pytest.mark.parametrize("kind", READERS, ids=lambda kind: kind.__name__)
def test_whatever_is_set_is_noticed(kind: type[Resource]) -> None:
    ignored = set()
    for spec in samples(kind):
        whole = made(kind, spec)
        assert not isinstance(whole, str), whole
        for path in parts(spec):
            if made(kind, without(spec, path)) == whole:
                ignored.add(written(path))
    assert ignored - NOT_MISSED.get(kind.__name__, set()) == set()


@pytest.mark.parametrize("kind", READERS, ids=lambda kind: kind.__name__)
def test_the_samples_set_every_field(kind: type[Resource]) -> None:
    wanted = set(fields(kind.model_fields["spec"].annotation))
    for spec in samples(kind):
        wanted -= set(given(kind.model_fields["spec"].annotation, spec))
    # What is refused cannot be in an object that is accepted.
    assert wanted <= {("TelemetrySpec", "targetRef"), ("TelemetrySpec", "targetRefs"),
                      ("MetricSelector", "customMetric"), ("DestinationRuleSpec", "workloadSelector")}  # fmt: skip


def fields(annotation: Any) -> Iterator[tuple[str, str]]:
    """Model and name, as users write it, of each field of whatever is below."""
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            yield model.__name__, field.alias or name
            yield from fields(field.annotation)


def given(annotation: Any, value: Any) -> Iterator[tuple[str, str]]:
    """Those of them that a value sets."""
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            alias = field.alias or name
            for each in _objects(value):
                if alias in each:
                    yield model.__name__, alias
                    yield from given(field.annotation, each[alias])


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def _objects(value: Any) -> Iterator[Json]:
    """Objects themselves, of a list, or of a map by name."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield each
            yield from (inner for inner in each.values() if isinstance(inner, dict))
