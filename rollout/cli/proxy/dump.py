"""Reads a proxy's own pages (Envoy's `/config_dump` and `/clusters`) into rows. Pure; knows not how they were fetched."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

Json = Mapping[str, Any]
Row = tuple[str, ...]

_NO_ROUTE: Json = {}


@dataclass(frozen=True, slots=True)
class Table:
    """What is shown of one kind of resource: names of columns, and rows, each with what Envoy says of what it is about."""

    columns: tuple[str, ...]
    entries: tuple[tuple[Row, Json], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """As people read them."""
        return tuple(row for row, _ in self.entries)

    @property
    def objects(self) -> list[Json]:
        """As Envoy says them, each once."""
        return list({id(each): each for _, each in self.entries}.values())


def clusters(dump: Json) -> Table:
    """Every cluster by what its name says: host, port, subset, direction."""
    rows = (
        ((*_named(cluster["name"]), _kind(cluster)), cluster)
        for cluster in _resources(
            dump, "Clusters", "cluster", "static_clusters", "dynamic_active_clusters"
        )
    )
    return _sorted(("HOST", "PORT", "SUBSET", "DIRECTION", "TYPE"), rows)


def listeners(dump: Json) -> Table:
    """Every filter chain of every listener, and where it leads."""
    rows = (
        ((listener["name"], *_address(listener.get("address") or {}), match, leads), listener)
        for listener in _listeners(dump)
        for match, leads in _chains(listener)
    )
    return _sorted(("NAME", "ADDRESS", "PORT", "MATCH", "DESTINATION"), rows)


def routes(dump: Json) -> Table:
    """Every rule, in the order in which they are tried, and the shares of its destinations."""
    rows = tuple(
        ((config["name"], host["name"], ", ".join(host["domains"][:2]), *_rule(route)), config)
        for config in sorted(
            _resources(
                dump, "Routes", "route_config", "static_route_configs", "dynamic_route_configs"
            ),
            key=lambda each: each.get("name", ""),
        )
        if config.get("name")
        for host in config.get("virtual_hosts") or ()
        for route in host.get("routes") or (_NO_ROUTE,)
    )
    return Table(("NAME", "VIRTUAL HOST", "DOMAINS", "MATCH", "DESTINATION"), rows)


def endpoints(page: Json) -> Table:
    """Every endpoint of every cluster as Envoy sees it now: healthy or not, ejected or not. Of `/clusters?format=json`."""
    rows = (
        (
            (
                _socket(host.get("address") or {}),
                *_health(host.get("health_status") or {}),
                cluster["name"],
            ),
            {"cluster": cluster["name"], **host},
        )
        for cluster in page.get("cluster_statuses") or ()
        for host in cluster.get("host_statuses") or ()
    )
    return _sorted(("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"), rows)


def secrets(dump: Json) -> Table:
    """The certificates that it has or waits for, and until when the first of each holds; Envoy itself hides the keys."""
    rows = (
        (
            (
                each["name"],
                state.removesuffix("_secrets").removeprefix("dynamic_"),
                *_secret(each.get("secret") or {}),
            ),
            each,
        )
        for section in sections(dump, "Secrets")
        for state in ("static_secrets", "dynamic_active_secrets", "dynamic_warming_secrets")
        for each in section.get(state) or ()
    )
    return _sorted(("NAME", "STATE", "TYPE", "NOT AFTER", "SERIAL NUMBER"), rows)


def bootstrap(dump: Json) -> Json:
    """What it was started with."""
    return next((each.get("bootstrap") or {} for each in sections(dump, "Bootstrap")), {})


SECTIONS: Mapping[str, Callable[[Json], Table]] = {
    "clusters": clusters,
    "listeners": listeners,
    "routes": routes,
    "endpoints": endpoints,
    "secrets": secrets,
}
"""What can be asked for, by name."""


def containing(table: Table, words: Iterable[str]) -> Table:
    """The rows in which every word occurs."""
    wanted = tuple(words)
    entries = (e for e in table.entries if all(any(w in cell for cell in e[0]) for w in wanted))
    return Table(table.columns, tuple(entries))


def sections(dump: Json, kind: str) -> Iterator[Json]:
    """The parts of a dump that are of a kind: `Clusters`, `Listeners`, `Routes`, `Secrets`."""
    for section in dump.get("configs") or ():
        if str(section.get("@type", "")).endswith(f".{kind}ConfigDump"):
            yield section


def _sorted(columns: tuple[str, ...], entries: Iterable[tuple[Row, Json]]) -> Table:
    """Each row once."""
    found = dict(reversed(list(entries)))
    return Table(columns, tuple((row, found[row]) for row in sorted(found)))


def _resources(dump: Json, kind: str, key: str, *lists: str) -> Iterator[Json]:
    for section in sections(dump, kind):
        for name in lists:
            for each in section.get(name) or ():
                yield each[key]


def _listeners(dump: Json) -> Iterator[Json]:
    for section in sections(dump, "Listeners"):
        for each in section.get("static_listeners") or ():
            yield each["listener"]
        for each in section.get("dynamic_listeners") or ():
            if "active_state" in each:
                yield each["active_state"]["listener"]


def _named(name: str) -> tuple[str, str, str, str]:
    parts = name.split("|")
    if len(parts) != 4:
        return name, "-", "-", "-"
    direction, port, subset, host = parts
    return host or "-", port, subset or "-", direction


def _kind(cluster: Json) -> str:
    return str(cluster.get("type") or (cluster.get("cluster_type") or {}).get("name") or "STATIC")


def _address(address: Json) -> tuple[str, str]:
    socket = address.get("socket_address") or {}
    return str(socket.get("address", "-")), str(socket.get("port_value", "-"))


def _socket(address: Json) -> str:
    return ":".join(_address(address)) if "socket_address" in address else str(address)


def _chains(listener: Json) -> Iterator[tuple[str, str]]:
    chains = [*(listener.get("filter_chains") or ())]
    if "default_filter_chain" in listener:
        chains.append(listener["default_filter_chain"])
    for chain in chains:
        yield _match(chain.get("filter_chain_match") or {}), _leads(chain)


def _match(match: Json) -> str:
    said = [
        *(f"port {match[key]}" for key in ("destination_port",) if key in match),
        *(f"{r['address_prefix']}/{r['prefix_len']}" for r in match.get("prefix_ranges") or ()),
        *(f"SNI {name}" for name in match.get("server_names") or ()),
        *(f"{match[key]}" for key in ("transport_protocol",) if key in match),
        *(f"ALPN {name}" for name in match.get("application_protocols") or ()),
    ]
    return "; ".join(said) or "ALL"


def _leads(chain: Json) -> str:
    for each in chain.get("filters") or ():
        config = each.get("typed_config") or {}
        if "rds" in config:
            return f"route {config['rds']['route_config_name']}"
        if "route_config" in config:
            inline = config["route_config"]
            return f"inline route {inline.get('name', '')}".strip()
        if "cluster" in config:
            return f"cluster {config['cluster']}"
        if "weighted_clusters" in config:
            return _shares(config["weighted_clusters"])
    return "-"


def _rule(route: Json) -> tuple[str, str]:
    if not route:
        return "-", "-"
    return _condition(route.get("match") or {}), _destination(route)


def _condition(match: Json) -> str:
    said = [
        f"{kind} {match[kind]}"
        for kind in ("prefix", "path", "path_separated_prefix")
        if kind in match
    ]
    if "safe_regex" in match:
        said.append(f"regex {match['safe_regex'].get('regex', '')}")
    said += [f"header {header['name']}" for header in match.get("headers") or ()]
    said += [f"query {each['name']}" for each in match.get("query_parameters") or ()]
    return "; ".join(said)


def _destination(route: Json) -> str:
    if "redirect" in route:
        return f"redirect {route['redirect'].get('host_redirect', '')}".strip()
    if "direct_response" in route:
        return f"answers {route['direct_response'].get('status', '')}"
    action = route.get("route") or {}
    if "weighted_clusters" in action:
        return _shares(action["weighted_clusters"])
    return str(action.get("cluster") or action.get("cluster_header") or "-")


def _shares(weighted: Json) -> str:
    parts = [(each["name"], int(each.get("weight", 0))) for each in weighted.get("clusters") or ()]
    return ", ".join(f"{weight}% {name}" for name, weight in parts)


def _health(health: Json) -> tuple[str, str]:
    ejected = "EJECTED" if health.get("failed_outlier_check") else "OK"
    return str(health.get("eds_health_status") or "UNKNOWN"), ejected


def _secret(secret: Json) -> tuple[str, str, str]:
    """Its type, and of its first certificate when it ends and its number."""
    for kind, word, field in (
        ("tls_certificate", "certificate", "certificate_chain"),
        ("validation_context", "authorities", "trusted_ca"),
    ):
        if kind in secret:
            return word, *_certificate((secret[kind] or {}).get(field) or {})
    return "-", "-", "-"


def _certificate(source: Json) -> tuple[str, str]:
    text = source.get("inline_string", "").encode() or b64decode(source.get("inline_bytes", ""))
    try:
        first = x509.load_pem_x509_certificates(text)[0]
    except ValueError:
        return "-", "-"
    return f"{first.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}", f"{first.serial_number:x}"
