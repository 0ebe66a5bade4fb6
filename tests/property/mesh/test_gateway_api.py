"""Whatever Gateways and routes say, as far as the API's schema lets it pass, proxies get what Envoy takes."""

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
from tests.meshworld import World, as_json, messages
from tests.unit.mesh.gatewayapi.objects import (
    CLASS,
    PROXIES,
    exposing,
    gateway,
    namespace,
    route,
    service,
)

Json = dict[str, Any]
PORTS = st.sampled_from([80, 443, 8080])
HOSTS = st.sampled_from(["a.example.com", "b.example.com", "*.example.com", "*.com", "example.com"])
PAIR = Authority().issue("a.example.com")
SECRET = {
    "kind": "Secret", "metadata": {"namespace": "shop", "name": "key"},
    "data": secret_data(tls_crt=PAIR[0], tls_key=PAIR[1]),
}  # fmt: skip
LISTENER = st.fixed_dictionaries(
    {"port": PORTS, "protocol": st.sampled_from(["HTTP", "HTTPS", "TCP"])},
    optional={
        "hostname": HOSTS,
        "tls": st.sampled_from([{"certificateRefs": [{"name": "key"}]}, {"certificateRefs": [{"name": "no"}]}]),
        "allowedRoutes": st.sampled_from([
            {"namespaces": {"from": "All"}}, {"kinds": [{"kind": "HTTPRoute"}]}, {"kinds": [{"kind": "Odd"}]},
        ]),
    },
)  # fmt: skip
PATH = st.one_of(
    st.fixed_dictionaries({
        "type": st.sampled_from(["Exact", "PathPrefix"]),
        "value": st.sampled_from(["/", "/a", "/a/", "/a/b", "/a.b+c", "/%41", "/a;b=c", "//"]),
    }),
    st.fixed_dictionaries({
        "type": st.just("RegularExpression"),
        "value": st.sampled_from(["/a.*", "(", "[0-9]+", "", "(?=x)", "a{2000}", "\\"]),
    }),
)  # fmt: skip
NAMED = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "X", "y"]), "value": st.sampled_from(["1", "", "é", "(", "a\\"])},
    optional={"type": st.sampled_from(["Exact", "RegularExpression"])},
)  # fmt: skip
MATCH = st.fixed_dictionaries({}, optional={
    "path": PATH, "headers": st.lists(NAMED, max_size=3), "queryParams": st.lists(NAMED, max_size=2),
    "method": st.sampled_from(["GET", "POST"]),
})  # fmt: skip
TEXT = st.sampled_from(["/", "/new", "/new/", "", "/a b", "/a\nb", "/%d", "/\\1", "/é", "/x?y#z"])
MODIFIER = st.one_of(
    st.fixed_dictionaries({"type": st.just("ReplaceFullPath"), "replaceFullPath": TEXT}),
    st.fixed_dictionaries({"type": st.just("ReplacePrefixMatch"), "replacePrefixMatch": TEXT}),
)  # fmt: skip
HEADERS = st.fixed_dictionaries({}, optional={
    key: st.lists(st.fixed_dictionaries({
        "name": st.sampled_from(["x", "host", "Host"]), "value": st.sampled_from(["1", "%", "%REQ(x)%", "a\nb", "é"]),
    }), max_size=2) for key in ("set", "add")
})  # fmt: skip
REDIRECT = st.fixed_dictionaries({}, optional={
    "scheme": st.sampled_from(["http", "https"]), "hostname": st.just("new.example.com"), "path": MODIFIER,
    "port": st.sampled_from([80, 443, 8443]), "statusCode": st.sampled_from([301, 302, 303, 307, 308]),
})  # fmt: skip
REWRITE = st.fixed_dictionaries(
    {}, optional={"hostname": st.just("in.example.com"), "path": MODIFIER}
)
BACKEND = st.fixed_dictionaries(
    {"name": st.sampled_from(["web", "no"]), "port": st.sampled_from([80, 81])},
    optional={"weight": st.sampled_from([0, 1, 1_000_000]), "namespace": st.just("other")},
)  # fmt: skip
MIRROR = st.fixed_dictionaries({"backendRef": BACKEND}, optional={"percent": st.integers(0, 100)})
FILTERS: tuple[tuple[str, str, st.SearchStrategy[Any]], ...] = (
    ("RequestHeaderModifier", "requestHeaderModifier", HEADERS),
    ("ResponseHeaderModifier", "responseHeaderModifier", HEADERS),
    ("RequestRedirect", "requestRedirect", REDIRECT),
    ("URLRewrite", "urlRewrite", REWRITE),
    ("RequestMirror", "requestMirror", MIRROR),
    ("ExtensionRef", "extensionRef", st.just({"name": "x"})),
)
FILTER: st.SearchStrategy[Json] = st.one_of(*(
    st.fixed_dictionaries({"type": st.just(kind), field: body}) for kind, field, body in FILTERS
))  # fmt: skip
RULE = st.fixed_dictionaries({}, optional={
    "matches": st.lists(MATCH, max_size=3), "filters": st.lists(FILTER, max_size=3),
    "backendRefs": st.lists(BACKEND, max_size=3),
    "timeouts": st.fixed_dictionaries({}, optional={
        "request": st.sampled_from(["0s", "1s", "1h1m"]), "backendRequest": st.sampled_from(["0s", "500ms"])}),
})  # fmt: skip
ROUTE = st.fixed_dictionaries(
    {"rules": st.lists(RULE, min_size=1, max_size=3)},
    optional={"hostnames": st.lists(HOSTS, max_size=3), "port": PORTS},
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn) -> list[Json]:
    listeners = [
        {**each, "name": f"l{index}"}
        for index, each in enumerate(draw(st.lists(LISTENER, min_size=1, max_size=4)))
    ]
    found = [CLASS, PROXIES, SECRET, namespace("shop"), service("shop", "web"), gateway(*listeners)]
    routes: list[Json] = draw(st.lists(ROUTE, max_size=3))
    for index, each in enumerate(routes):
        parents = [{"name": "front", **({"port": each["port"]} if "port" in each else {})}]
        more: Json = {"hostnames": each["hostnames"]} if "hostnames" in each else {}
        found.append(route(*each["rules"], name=f"r{index}", parents=parents, **more))
    return [*draw(st.permutations(found)), *exposing(ports=(80, 443, 8080))]


def shown(given: list[Json]) -> dict[str, list[Any]]:
    world = World(given)
    view = world.view(world.proxy("router", "istio-system", "gw", {"istio": "ingressgateway"}))
    return {
        kind: list(messages(view, kind).values()) for kind in ("listeners", "routes", "clusters")
    }


@given(objects())
@settings(max_examples=200, deadline=None)
def test_the_order_of_objects_never_shows_and_no_host_is_there_twice(given: list[Json]) -> None:
    found = shown(given)
    assert str(found) == str(shown([*reversed(given[:-2]), *given[-2:]]))
    for routes in found["routes"]:
        domains = [domain for host in routes.virtual_hosts for domain in host.domains]
        assert len(domains) == len(set(domains)), routes.name


@given(objects())
@settings(max_examples=40, deadline=None)
def test_envoy_takes_it(given: list[Json]) -> None:
    kinds = {name: [as_json(each) for each in every] for name, every in shown(given).items()}
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "envoy.json"
        config.write_text(json.dumps(static({"endpoints": [], "extensions": [], **kinds})))
        command = [str(envoy_binary()), "--mode", "validate", "-c", str(config), "-l", "error"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
