"""Whatever is written into Gateways, ServiceEntries and rules for connections, proxies get what Envoy takes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.certificates import Authority, secret_data
from tests.golden.test_mesh import static
from tests.integration.envoy import envoy_binary
from tests.meshworld import TYPES, World, as_json, messages

Json = dict[str, Any]
HOSTS = st.sampled_from([
    "a.example.com", "b.example.com", "*.example.com", "*", "one", "one.shop", "one.shop.svc.cluster.local",
    "A.Example.Com", "10.0.0.1", "*.com", "a.example.com.", "x/a.example.com", "./*", "-bad-", "", "*.*.com",
])  # fmt: skip
ADDRESSES = st.sampled_from(
    ["192.0.2.1", "192.0.2.0/24", "10.0.0.1", "2001:db8::1", "0.0.0.0/0", "bad", "a.b"]
)
PORTS = st.sampled_from([80, 443, 8080, 9000, 9443, 15006, 0, 70000])
PROTOCOLS = st.sampled_from(["HTTP", "HTTPS", "TLS", "TCP", "GRPC", "MONGO", "HTTP2", "SMTP"])
NAMES = st.sampled_from(["http", "https", "tcp", "tls", "grpc", "x"])
PAIR = Authority().issue("a.example.com")
SECRET = {
    "kind": "Secret", "metadata": {"namespace": "shop", "name": "key"},
    "data": secret_data(tls_crt=PAIR[0], tls_key=PAIR[1], ca_crt=PAIR[0]),
}  # fmt: skip
TLS = st.fixed_dictionaries({}, optional={
    "mode": st.sampled_from(["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "PASSTHROUGH", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL"]),
    "credentialName": st.sampled_from(["key", "nosuch", "a/b", ""]),
    "httpsRedirect": st.booleans(),
    "minProtocolVersion": st.sampled_from(["TLSV1_0", "TLSV1_2", "TLSV1_3", "TLS_AUTO", "SSL"]),
    "maxProtocolVersion": st.sampled_from(["TLSV1_0", "TLSV1_1", "TLSV1_3", "x"]),
    "cipherSuites": st.lists(st.sampled_from(["AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256", "x"]), max_size=2),
    "subjectAltNames": st.lists(st.sampled_from(["spiffe://a/b", "a.b", ""]), max_size=2),
})  # fmt: skip
SERVER = st.fixed_dictionaries(
    {"port": st.fixed_dictionaries({"number": PORTS, "name": NAMES, "protocol": PROTOCOLS}),
     "hosts": st.lists(HOSTS, min_size=1, max_size=3)},
    optional={"tls": TLS},
)  # fmt: skip
SHARES = st.lists(
    st.fixed_dictionaries(
        {"destination": st.fixed_dictionaries({"host": st.sampled_from(["one", "a.example.com", "nosuch"])})},
        optional={"weight": st.integers(-1, 100)},
    ),
    max_size=3,
)  # fmt: skip
MATCH: Json = {
    "port": PORTS,
    "destinationSubnets": st.lists(ADDRESSES, max_size=2),
    "gateways": st.just(["mesh"]),
    "sourceLabels": st.just({"app": "web"}),
}
TCP = st.fixed_dictionaries(
    {"route": SHARES},
    optional={"match": st.lists(st.fixed_dictionaries({}, optional=MATCH), max_size=2)},
)
TLS_RULE = st.fixed_dictionaries({"route": SHARES, "match": st.lists(
    st.fixed_dictionaries({"sniHosts": st.lists(HOSTS, max_size=3)}, optional=MATCH), max_size=2)})  # fmt: skip
TABLE = st.fixed_dictionaries(
    {"hosts": st.lists(HOSTS, min_size=1, max_size=2, unique=True)},
    optional={
        "tcp": st.lists(TCP, max_size=2), "tls": st.lists(TLS_RULE, max_size=2),
        "http": st.just([{"route": [{"destination": {"host": "one"}}]}]),
        "gateways": st.sampled_from([["mesh"], ["g0"], ["g0", "g1", "mesh"]]),
        "exportTo": st.lists(st.sampled_from([".", "*", "other", "~"]), max_size=2),
    },
)  # fmt: skip
ENTRY = st.fixed_dictionaries(
    {"hosts": st.lists(HOSTS, min_size=1, max_size=2),
     "ports": st.lists(st.fixed_dictionaries({"number": PORTS, "name": NAMES, "protocol": PROTOCOLS}), min_size=1, max_size=2)},
    optional={
        "resolution": st.sampled_from(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "x"]),
        "addresses": st.lists(ADDRESSES, max_size=2),
        "endpoints": st.lists(st.fixed_dictionaries({}, optional={
            "address": ADDRESSES, "ports": st.dictionaries(NAMES, PORTS, max_size=1), "labels": st.just({"v": "1"})}), max_size=2),
        "exportTo": st.lists(st.sampled_from([".", "*", "other"]), max_size=1),
    },
)  # fmt: skip
RULE = st.fixed_dictionaries({"host": HOSTS}, optional={
    "subsets": st.just([{"name": "s", "labels": {"v": "1"}}]),
    "trafficPolicy": st.sampled_from([
        {"loadBalancer": {"simple": "PASSTHROUGH"}}, {"outlierDetection": {"interval": "1s"}},
        {"loadBalancer": {"consistentHash": {"useSourceIp": True}}}, {"loadBalancer": {"warmupDurationSecs": "10s"}},
    ])})  # fmt: skip


def istio(kind: str, name: str, spec: Json) -> Json:
    metadata = {"namespace": "shop", "name": name, "creationTimestamp": "2026-01-02T00:00:00Z"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


@st.composite
def objects(draw: st.DrawFn) -> list[Json]:
    found = [SECRET, {
        "kind": "Service", "metadata": {"namespace": "shop", "name": "one"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [
            {"name": "http", "port": 80}, {"name": "tcp", "port": 9000}, {"name": "tls", "port": 443}]},
    }]  # fmt: skip
    for kind, strategy in (
        ("VirtualService", TABLE),
        ("ServiceEntry", ENTRY),
        ("DestinationRule", RULE),
    ):
        for index, spec in enumerate(draw(st.lists(strategy, max_size=3))):
            found.append(istio(kind, f"r{index}", spec))
    for index in range(2):
        servers = draw(st.lists(SERVER, min_size=1, max_size=3))
        found.append(
            istio("Gateway", f"g{index}", {"selector": {"istio": "gw"}, "servers": servers})
        )
    return draw(st.permutations(found))


def views(world: World) -> list[dict[str, list[Any]]]:
    found = []
    for kind, labels in (("router", {"istio": "gw"}), ("sidecar", {"app": "web"})):
        view = world.view(world.proxy(kind, "shop", "web", labels))
        found.append({name: list(messages(view, name).values()) for name in TYPES})
    return found


@given(objects())
@settings(max_examples=300)
def test_nothing_is_said_twice(given: list[Json]) -> None:
    """What Envoy would refuse a whole listener or route configuration for."""
    for found in views(World(given)):
        for listener in found["listeners"]:
            matches = [
                each.filter_chain_match.SerializeToString(deterministic=True)
                for each in listener.filter_chains
            ]
            assert len(matches) == len(set(matches)), listener.name
            single = [
                (name, subnet.SerializeToString())
                for each in listener.filter_chains
                for name in each.filter_chain_match.server_names
                for subnet in each.filter_chain_match.prefix_ranges
                or [type(each.filter_chain_match)()]
            ]
            assert len(single) == len(set(single)), listener.name
        for routes in found["routes"]:
            domains = [domain.lower() for host in routes.virtual_hosts for domain in host.domains]
            assert len(domains) == len(set(domains)), routes.name
        for cluster in found["clusters"]:
            assert cluster.type != cluster.EDS or cluster.eds_cluster_config.service_name


@given(objects())
@settings(max_examples=25, deadline=None)
def test_envoy_takes_it(given: list[Json]) -> None:
    for found in views(World(given)):
        found.pop("secrets")
        kinds = {name: [as_json(each) for each in every] for name, every in found.items()}
        with tempfile.TemporaryDirectory() as directory:
            config = Path(directory) / "envoy.json"
            config.write_text(json.dumps(static(kinds)))
            command = [str(envoy_binary()), "--mode", "validate", "-c", str(config), "-l", "error"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


@given(objects())
@settings(max_examples=50)
def test_the_order_of_objects_never_shows(given: list[Json]) -> None:
    assert str(views(World(given))) == str(views(World(reversed(given))))
