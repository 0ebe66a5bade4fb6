"""What proxies get for a set of objects, as files to be read and reviewed; each is accepted by the real Envoy.

`mesh/inputs/CASE.yaml` holds the proxies and what is shown of them, then the objects. Written anew, and stale files
dropped, by `--update-goldens`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.mesh.agent.settings import IDENTITY_FILE, ROOTS_FILE
from rollout.mesh.model.peers import MutualTLS
from tests.integration.envoy import envoy_binary
from tests.meshworld import World, as_json, messages

ROOT = Path(__file__).parent / "mesh"
CASES = sorted(path.stem for path in (ROOT / "inputs").glob("*.yaml"))
Json = dict[str, Any]


def read(case: str) -> tuple[World, list[Json]]:
    head, *objects = yaml.safe_load_all((ROOT / "inputs" / f"{case}.yaml").read_text())
    mutual_tls = MutualTLS(head.get("mutualTLS", "none"))
    allow_any = head.get("allowAny", True)
    world = World(
        objects,
        allow_any=allow_any,
        mutual_tls=mutual_tls,
        mesh_config=head.get("meshConfig"),
    )
    return world, head["proxies"]


def render(case: str) -> dict[str, dict[str, Any]]:
    """File name to the messages that it shows."""
    world, proxies = read(case)
    found = {}
    for each in proxies:
        who = world.proxy(each["type"], each["namespace"], each["name"], each.get("labels"))
        view = world.view(who)
        for kind in each["show"]:
            found[f"{each['name']}.{kind}.yaml"] = messages(view, kind)
    return found


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, request: pytest.FixtureRequest) -> None:
    directory = ROOT / case
    wanted = {
        name: yaml.safe_dump([as_json(each) for each in found.values()], sort_keys=True, width=110)
        for name, found in render(case).items()
    }
    if request.config.getoption("--update-goldens"):
        _write(directory, wanted)
    assert {path.name for path in directory.glob("*")} == set(wanted), "run with --update-goldens"
    for name, text in wanted.items():
        assert text == (directory / name).read_text(), f"{case}/{name}"


def test_no_stale_directories() -> None:
    assert {path.name for path in ROOT.iterdir() if path.is_dir()} == {*CASES, "inputs"}


def _write(directory: Path, wanted: dict[str, str]) -> None:
    directory.mkdir(exist_ok=True)
    for path in directory.glob("*"):
        path.unlink()
    for name, text in wanted.items():
        (directory / name).write_text(text)


@pytest.mark.parametrize("case", CASES)
def test_envoy_accepts(case: str, tmp_path: Path) -> None:
    world, proxies = read(case)
    for name in (IDENTITY_FILE, ROOTS_FILE):
        (tmp_path / name).write_text("{}")
    for each in proxies:
        view = world.view(
            world.proxy(each["type"], each["namespace"], each["name"], each.get("labels"))
        )
        kinds = {kind: list(map(as_json, messages(view, kind).values())) for kind in
                 ("clusters", "endpoints", "listeners", "routes", "extensions")}  # fmt: skip
        config = tmp_path / f"{each['name']}.json"
        config.write_text(json.dumps(static(kinds)))
        command = [str(envoy_binary()), "--mode", "validate", "-c", str(config), "-l", "error"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr


def static(kinds: dict[str, list[Json]]) -> Json:
    """A bootstrap of resources: endpoints as static clusters, routes inside listeners of their own."""
    endpoints = [
        {"name": f"static {index}", "type": "STATIC", "load_assignment": assignment}
        for index, assignment in enumerate(kinds["endpoints"])
    ]
    routes = [_route_listener(20_000 + index, each) for index, each in enumerate(kinds["routes"])]
    routes += [_filter_listener(30_000 + i, each) for i, each in enumerate(kinds["extensions"])]
    grpc = {"envoy_grpc": {"cluster_name": "xds-grpc"}}
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    xds = {"name": "xds-grpc", "type": "STATIC", "typed_extension_protocol_options": http2}
    return {
        "node": {"id": "golden", "cluster": "golden"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [grpc]
            }
        },
        "layered_runtime": {
            "layers": [{"name": "l", "static_layer": {"re2.max_program_size.error_level": 32768}}]
        },
        "static_resources": {
            "clusters": [xds, *kinds["clusters"], *endpoints],
            "listeners": [*kinds["listeners"], *routes],
        },
    }  # fmt: skip


def _filter_listener(port: int, extension: Json) -> Json:
    """What would be put into a slot, as a filter."""
    found = _route_listener(port, {"virtual_hosts": []})
    manager = found["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"].insert(0, extension)
    return found


def _route_listener(port: int, routes: Json) -> Json:
    kind = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    cors = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"
    fault = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
    manager = {
        "@type": f"{kind}.HttpConnectionManager",
        "stat_prefix": "golden",
        "route_config": routes,
        "http_filters": [
            {"name": "envoy.filters.http.cors", "typed_config": {"@type": cors}},
            {"name": "envoy.filters.http.fault", "typed_config": {"@type": fault}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": router}},
        ],
    }
    filters = [{"name": "hcm", "typed_config": manager}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": f"r{port}", "address": address, "filter_chains": [{"filters": filters}]}
