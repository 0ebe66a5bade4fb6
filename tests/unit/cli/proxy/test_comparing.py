"""What a proxy has beside what it should have, where its own words could mislead."""

from __future__ import annotations

from typing import Any

from rollout.cli.proxy.comparing import differences, versions

_ADMIN = "type.googleapis.com/envoy.admin.v3."


def dump(*listeners: dict[str, Any], routes: dict[str, str]) -> dict[str, Any]:
    configs = [
        {"version_info": version, "route_config": {"name": name}}
        for name, version in routes.items()
    ]
    return {
        "configs": [
            {"@type": f"{_ADMIN}ListenersConfigDump", "dynamic_listeners": list(listeners)},
            {"@type": f"{_ADMIN}RoutesConfigDump", "dynamic_route_configs": configs},
        ]
    }


def listener(name: str, state: str = "active_state") -> dict[str, Any]:
    rds = {"typed_config": {"rds": {"route_config_name": name}}}
    chains = [{"filters": [rds]}]
    return {"name": name, state: {"listener": {"name": name, "filter_chains": chains}}}


def test_what_is_there_is_compared_by_versions() -> None:
    found = versions(dump(listener("80"), listener("81"), routes={"80": "v1", "81": "v2"}))
    wanted = {"lds": {"80": "a", "82": "a"}, "rds": {"80": "v1", "81": "v3"}}
    assert list(differences(wanted, found)) == [
        ("lds", "81", "left over"),
        ("lds", "82", "missing"),
        ("rds", "81", "another version"),
    ]


def test_a_listener_that_is_let_go_on_for_a_while_is_not_left_over_nor_are_its_routes() -> None:
    found = versions(dump(listener("80", "draining_state"), routes={"80": "v1"}))
    assert list(differences({"lds": {}, "rds": {}}, found)) == []
