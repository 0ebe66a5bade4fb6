"""crds/ is what the models say, structural, and has Flagger's columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rollout.api.crdgen import definitions, documents

CRDS = Path(__file__).parents[3] / "crds"


def test_the_files_are_current() -> None:
    files = {path.name: path.read_text() for path in CRDS.glob("*.yaml")}
    assert files == documents(), "run python -m rollout.api.crdgen"


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from _schemas(inner)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from _schemas(schema[keyword])


def test_schemas_say_only_what_the_api_server_understands() -> None:
    known = {
        "type",
        "description",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "enum",
        "format",
    }
    known |= {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
    for name, crd in definitions().items():
        for version in crd["spec"]["versions"]:
            for schema in _schemas(version["schema"]["openAPIV3Schema"]):
                unknown = {
                    key
                    for key in schema
                    if key not in known and not key.startswith("x-kubernetes-")
                }
                assert not unknown, (name, schema)
                untyped = {"x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"}
                assert "type" in schema or untyped & set(schema), (name, schema)


def test_columns_of_kubectl_get_canary() -> None:
    columns = definitions()["canaries.flagger.app"]["spec"]["versions"][0][
        "additionalPrinterColumns"
    ]
    assert [column["name"] for column in columns if "priority" not in column] == [
        "Status",
        "Weight",
        "LastTransitionTime",
    ]
    assert [column["name"] for column in columns if column.get("priority") == 1] == [
        "Suspended",
        "FailedChecks",
        "Interval",
        "Mirror",
        "StepWeight",
        "StepWeights",
        "MaxWeight",
    ]


def test_istios_kinds_are_served_at_its_versions_and_stored_at_v1() -> None:
    for name, crd in definitions().items():
        versions = {version["name"]: version["storage"] for version in crd["spec"]["versions"]}
        if name.endswith("security.istio.io"):
            assert versions == {"v1": True, "v1beta1": False}
        elif name.endswith("telemetry.istio.io"):
            assert versions == {"v1": True, "v1alpha1": False}
        elif name.endswith("istio.io"):
            assert versions == {"v1": True, "v1beta1": False, "v1alpha3": False}
        elif name.endswith("flagger.app"):
            assert versions == {"v1beta1": True}
        else:
            assert versions == {"v1alpha1": True}
