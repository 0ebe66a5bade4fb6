"""The chart, rendered without Helm: templates and values in, objects out, in the order in which they are applied.

Must not know the cluster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from rollout.api.errors import InvalidObject
from rollout.api.gotemplate import TemplateError
from rollout.api.istio.meshconfig import MeshConfig
from rollout.install import values as chart_values
from rollout.install.chartfuncs import render_chart
from rollout.install.errors import InstallError
from rollout.install.inventory import KINDS, RELEASE, kind_of
from rollout.install.values import Values
from rollout.kube.objects import Objects

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_ISTIO_GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
load_yaml = partial(yaml.load, Loader=_LOADER)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an installation consists of. CRDs come apart: they are applied first and outlive it."""

    namespace: str
    mesh_mode: str
    crds: Objects
    objects: Objects


def render(namespace: str, overrides: Mapping[str, Any]) -> Rendered:
    """Render the chart that comes with this program; `InstallError` names what is wrong with the values."""
    chart = _packaged("chart", "charts/rollout")
    values = chart_values.merge(load_yaml((chart / "values.yaml").read_text()), overrides)
    chart_values.check(values, json.loads((chart / "values.schema.json").read_text()))
    _check_mesh_config(values["meshConfig"])
    objects = [obj for text in _texts(chart, values, namespace) for obj in _documents(text)]
    order = {kind: position for position, kind in enumerate(KINDS)}
    objects.sort(key=lambda obj: order[kind_of(obj)])
    return Rendered(namespace, values["mesh"]["mode"], _crds(values), objects)


def _check_mesh_config(given: Any) -> None:
    try:
        MeshConfig.read(json.dumps(given))
    except InvalidObject as invalid:
        found = "; ".join(map(str, invalid.errors))
        raise InstallError(f"meshConfig: {found}") from None


def dump(rendered: Rendered) -> str:
    """Everything as one YAML stream, for reading or for `kubectl apply`."""
    return yaml.dump_all([*rendered.crds, *rendered.objects], Dumper=_DUMPER, sort_keys=False)


def load_values(path: Path) -> Values:
    """A file of values, as `--values` names it."""
    try:
        loaded = load_yaml(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InstallError(f"--values {path}: {error}; name a readable YAML file") from error
    if not isinstance(loaded, dict | None):
        raise InstallError(
            f"--values {path}: must be a map of values, as charts/rollout/values.yaml"
        )
    return loaded or {}


def _packaged(inside: str, checkout: str) -> Path:
    """A directory that the wheel carries, or its original in a checkout."""
    carried = _HERE / inside
    return carried if carried.is_dir() else _ROOT / checkout


def _texts(chart: Path, values: Values, namespace: str) -> list[str]:
    metadata = load_yaml((chart / "Chart.yaml").read_text())
    data = {
        "Values": values,
        "Chart": {key[0].upper() + key[1:]: value for key, value in metadata.items()},
        "Release": {"Name": RELEASE, "Namespace": namespace, "Service": RELEASE},
    }
    templates = chart / "templates"
    files = {
        str(path.relative_to(templates)): path.read_text()
        for path in sorted(templates.rglob("*"))
        if path.is_file()
    }
    try:
        return list(render_chart(files, data).values())
    except TemplateError as error:
        raise InstallError(error.reason.removeprefix("error calling required: ")) from error


def _documents(text: str) -> Objects:
    return [document for document in yaml.load_all(text, _LOADER) if document]


def _crds(values: Values) -> Objects:
    """The CRDs to apply: none when told so, Istio's only for the mesh that needs them."""
    if not values["crd"]["create"]:
        return []
    files = sorted(_packaged("crds", "crds").glob("*.yaml"))
    found = [obj for file in files for obj in _documents(file.read_text())]
    if values["mesh"]["mode"] == "bundled":
        return found
    return [crd for crd in found if crd["spec"]["group"] not in _ISTIO_GROUPS]
