"""What a proxy has beside what it should have, by versions. Pure; knows not how either was fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollout.cli.proxy.dump import Json, sections


def versions(dump: Json) -> dict[str, dict[str, str]]:
    """What the proxy took from the control plane: the version of every resource, by type (`cds`) and name.

    Of endpoints Envoy says nothing, of others only that they are there (no version): a listener whose chains were changed
    in place keeps saying the version that it had; virtual hosts that were taken one by one (`vhds`) have none, and their
    routes say that of the last message about any of them.
    """
    found: dict[str, dict[str, str]] = {"cds": {}, "lds": {}, "rds": {}}
    referred: set[str] = set()
    for section in sections(dump, "Clusters"):
        for each in section.get("dynamic_active_clusters") or ():
            found["cds"][each["cluster"]["name"]] = each.get("version_info", "")
    for section in sections(dump, "Listeners"):
        for each in section.get("dynamic_listeners") or ():
            # One that was taken away is shown for as long as its connections are let go on.
            if "draining_state" not in each or "active_state" in each:
                found["lds"][each["name"]] = ""
                referred.update(_routes_of(each.get("active_state")))
    for section in sections(dump, "Routes"):
        for each in section.get("dynamic_route_configs") or ():
            config = each["route_config"]
            if config["name"] not in referred:
                continue
            found["rds"][config["name"]] = "" if "vhds" in config else each.get("version_info", "")
            if "vhds" in config:
                hosts = found.setdefault("vhds", {})
                hosts.update((host["name"], "") for host in config.get("virtual_hosts") or ())
    return found


def _routes_of(part: Any) -> Iterator[str]:
    """The names of the routes that a listener asks for; those of one that is going are still shown for a while."""
    if isinstance(part, dict):
        if isinstance(name := part.get("route_config_name"), str):
            yield name
        for each in part.values():
            yield from _routes_of(each)
    elif isinstance(part, list):
        for each in part:
            yield from _routes_of(each)


def differences(
    wanted: Mapping[str, Mapping[str, str]], has: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """Type, name and state of what is missing, older, or too much; of types that versions are known of."""
    for kind in sorted(wanted.keys() & has.keys()):
        should, does = wanted[kind], has[kind]
        for name in sorted(should.keys() | does.keys()):
            if name not in does:
                yield kind, name, "missing"
            elif name not in should:
                yield kind, name, "left over"
            elif does[name] and should[name] != does[name]:
                yield kind, name, "another version"
