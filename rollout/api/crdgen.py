"""Makes the CustomResourceDefinitions in crds/ from the models, so that the two cannot part ways.

`python -m rollout.api.crdgen` writes them; a test compares. The schemas are structural, and keep unknown keys: the
API server would prune them before the admission webhook could refuse them by name. Knows the models, not the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import Canary
from rollout.api.chaos import ChaosExperiment, ChaosReport
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
from rollout.api.metrictemplate import MetricTemplate
from rollout.api.model import Resource

Schema = dict[str, Any]
_KEEPS_UNKNOWN = {"x-kubernetes-preserve-unknown-fields": True}
_RULES = "x-kubernetes-validations"
_MOST_ITEMS = 100  # the API server counts what rules may cost at worst, so their lists need an end


class _Column(NamedTuple):
    name: str
    type: str
    path: str
    wide: bool = False


class _Definition(NamedTuple):
    model: type[Resource]
    columns: tuple[_Column, ...] = ()
    categories: tuple[str, ...] = ("all",)
    short_names: tuple[str, ...] = ()


_AGE = _Column("Age", "date", ".metadata.creationTimestamp")
_ISTIO = ("istio-io", "networking-istio-io")

# Flagger's columns exactly: people and scripts read them.
DEFINITIONS = (
    _Definition(
        Canary,
        (
            _Column("Status", "string", ".status.phase"),
            _Column("Weight", "string", ".status.canaryWeight"),
            _Column("Suspended", "boolean", ".spec.suspend", wide=True),
            _Column("FailedChecks", "string", ".status.failedChecks", wide=True),
            _Column("Interval", "string", ".spec.analysis.interval", wide=True),
            _Column("Mirror", "boolean", ".spec.analysis.mirror", wide=True),
            _Column("StepWeight", "string", ".spec.analysis.stepWeight", wide=True),
            _Column("StepWeights", "string", ".spec.analysis.stepWeights", wide=True),
            _Column("MaxWeight", "string", ".spec.analysis.maxWeight", wide=True),
            _Column("LastTransitionTime", "string", ".status.lastTransitionTime"),
        ),
    ),
    _Definition(MetricTemplate, (_Column("Provider", "string", ".spec.provider.type"),)),
    _Definition(AlertProvider, (_Column("Type", "string", ".spec.type"),)),
    _Definition(
        VirtualService,
        (
            _Column("Gateways", "string", ".spec.gateways"),
            _Column("Hosts", "string", ".spec.hosts"),
            _AGE,
        ),
        _ISTIO,
        ("vs",),
    ),
    _Definition(DestinationRule, (_Column("Host", "string", ".spec.host"), _AGE), _ISTIO, ("dr",)),
    _Definition(Gateway, (), _ISTIO, ("gw",)),
    _Definition(
        PeerAuthentication,
        (_Column("Mode", "string", ".spec.mtls.mode"), _AGE),
        ("istio-io", "security-istio-io"),
        ("pa",),
    ),
    _Definition(Telemetry, (_AGE,), ("istio-io", "telemetry-istio-io")),
    _Definition(
        ServiceEntry,
        (
            _Column("Hosts", "string", ".spec.hosts"),
            _Column("Location", "string", ".spec.location"),
            _Column("Resolution", "string", ".spec.resolution"),
            _AGE,
        ),
        _ISTIO,
        ("se",),
    ),
    _Definition(Sidecar, (_AGE,), _ISTIO, ()),
    _Definition(
        WorkloadEntry, (_AGE, _Column("Address", "string", ".spec.address")), _ISTIO, ("we",)
    ),
    _Definition(
        ChaosExperiment,
        (
            _Column("Phase", "string", ".status.phase"),
            _Column("Verdict", "string", ".status.verdict"),
            _Column("Service", "string", ".spec.target.service"),
            _Column("Fault", "string", ".status.fault"),
            _Column("Remaining", "string", ".status.remaining"),
            _Column("Evidence", "string", ".status.reason"),
            _AGE,
        ),
        (),
        ("chaos",),
    ),
    _Definition(
        ChaosReport,
        (
            _Column("Experiment", "string", ".spec.experiment"),
            _Column("Verdict", "string", ".spec.verdict"),
            _Column("Start", "date", ".spec.start"),
            _Column("Reason", "string", ".spec.reason"),
            _AGE,
        ),
    ),
)


def definitions() -> dict[str, Schema]:
    """Every CustomResourceDefinition, by its name."""
    made = (_crd(definition) for definition in DEFINITIONS)
    return {crd["metadata"]["name"]: crd for crd in made}


def documents() -> dict[str, str]:
    """The files of crds/, by name."""
    head = "# Generated from rollout/api by `python -m rollout.api.crdgen`; do not edit.\n"
    return {
        f"{name}.yaml": head + yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=110)
        for name, crd in definitions().items()
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _crd(definition: _Definition) -> Schema:
    model, kind = definition.model, definition.model.KIND
    names: Schema = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "categories": list(definition.categories),
    }
    if definition.short_names:
        names["shortNames"] = list(definition.short_names)
    versions = model.SERVED_VERSIONS or (kind.version,)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": [
                _version(definition, version, stored=version == kind.version)
                for version in versions
            ],
        },
    }


def _version(definition: _Definition, version: str, *, stored: bool) -> Schema:
    made: Schema = {
        "name": version,
        "served": True,
        "storage": stored,
        "subresources": {"status": {}},
    }
    if definition.columns:
        made["additionalPrinterColumns"] = [_column(column) for column in definition.columns]
    made["schema"] = {"openAPIV3Schema": schema_of(definition.model)}
    return made


def _column(column: _Column) -> Schema:
    made: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return made | ({"priority": 1} if column.wide else {})


def schema_of(model: type[Resource]) -> Schema:
    """The structural schema of a kind.

    What Istio accepts must apply unchanged, so its kinds get the types only: meaning is the mesh's to judge.
    """
    source = model.model_json_schema(by_alias=True)
    shapes = source.get("$defs", {})
    strict = model.REFUSES_UNKNOWN
    spec = _structural(source["properties"]["spec"], shapes, strict=strict)
    status: Schema = {"type": "object", **_KEEPS_UNKNOWN}
    if "$ref" in source["properties"].get("status", {}):
        status = _structural(source["properties"]["status"], shapes, strict=strict)
    return {
        "description": source["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {
                "description": "What was observed and done.",
                **_without(status, "description"),
            },
        },
    }


def _structural(source: Mapping[str, Any], shapes: Mapping[str, Any], *, strict: bool) -> Schema:
    """One schema, inlined and reduced to what the API server understands."""
    made = _resolved(source, shapes)
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if not strict:
        for rule in (_RULES, "required", "minimum", "maximum", "minLength", "maxLength", "enum"):
            made.pop(rule, None)
    if "properties" in made:
        made["properties"] = {
            name: _structural(inner, shapes, strict=strict)
            for name, inner in made["properties"].items()
        }
        made.pop("additionalProperties", None)
        made.update(_KEEPS_UNKNOWN)
    elif isinstance(inner := made.get("additionalProperties"), Mapping):
        made["additionalProperties"] = _structural(inner, shapes, strict=strict)
    if "items" in made:
        made["items"] = _structural(made["items"], shapes, strict=strict)
        if _has_rules(made["items"]):
            made.setdefault("maxItems", _MOST_ITEMS)
    return made


def _has_rules(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    return _RULES in schema or any(map(_has_rules, schema.values()))


def _resolved(source: Mapping[str, Any], shapes: Mapping[str, Any]) -> Schema:
    """The schema without references and null; what is said at the field holds over what is said of its type."""
    made = dict(source)
    if "anyOf" in made:
        given = [inner for inner in made.pop("anyOf") if inner.get("type") != "null"]
        made = {**_resolved(given[0], shapes), **made}
    if "$ref" in made:
        shape = shapes[made.pop("$ref").rpartition("/")[2]]
        made = {**_resolved(shape, shapes), **made}
    return _without(made, "title", "default")


def _without(source: Mapping[str, Any], *names: str) -> Schema:
    return {name: value for name, value in source.items() if name not in names}


def main() -> None:
    """Write crds/ of the checkout."""
    directory = Path(__file__).parents[2] / "crds"
    directory.mkdir(exist_ok=True)
    for stale in set(directory.glob("*.yaml")) - {directory / name for name in documents()}:
        stale.unlink()
    for name, text in documents().items():
        (directory / name).write_text(text)


if __name__ == "__main__":
    main()
