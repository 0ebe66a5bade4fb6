"""Bad input: whatever becomes of a VirtualService, DestinationRule or Gateway, others keep what they have, and it is said.

The objects are those of the golden files, changed at random; `make test-bad-input` tries 5,000 of them, the suite as a whole
a tenth of that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.api.errors import InvalidObject
from rollout.api.istio import DestinationRule, Gateway, VirtualService
from rollout.api.model import Resource
from rollout.mesh.model.problem import Ref
from tests.meshworld import World

Json = dict[str, Any]
EXAMPLES = int(os.environ.get("EXAMPLES", "500"))
MODELS: dict[str, type[Resource]] = {
    "VirtualService": VirtualService,
    "DestinationRule": DestinationRule,
    "Gateway": Gateway,
}
INPUTS = Path(__file__).parents[2] / "golden" / "mesh" / "inputs"
GOOD = [
    obj
    for path in sorted(INPUTS.glob("*.yaml"))
    for obj in yaml.safe_load_all(path.read_text())
    if obj.get("kind") in MODELS and "istio.io" in obj["apiVersion"]
]
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=8),
    st.sampled_from(["*", "", "1s", "-1s", "%", "a.b", "(?=x)", "x" * 300, "10.0.0.1", "10.0.0.0/8"]),
    st.just([]), st.just({}), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)  # fmt: skip
OTHERS: list[Json] = [
    {"kind": "Service", "metadata": {"namespace": "innocent", "name": "other"},
     "spec": {"clusterIP": "10.96.7.7", "ports": [{"name": "http", "port": 7777}]}},
    {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
     "metadata": {"namespace": "innocent", "name": "other"},
     "spec": {"hosts": ["other"], "http": [{"timeout": "1s", "route": [{"destination": {"host": "other"}}]}]}},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything within."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, each in items:
        yield (*path, key)
        yield from places(each, (*path, key))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Json, Json]:
    """A good object, and the same with up to three changes: something else, nothing, twice, or more than there was."""
    good = draw(st.sampled_from(GOOD))
    bad = deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        every = [path for path in places(bad) if path[0] == "spec" and path[1:]]
        if not every:
            break
        *where, last = draw(st.sampled_from(every))
        holder = bad
        for key in where:
            holder = holder[key]
        match draw(st.sampled_from(["else", "nothing", "twice", "more"])):
            case "else":
                holder[last] = draw(JUNK)
            case "nothing":
                del holder[last]
            case "twice" if isinstance(holder, list):
                holder.append(deepcopy(holder[last]))
            case _ if isinstance(holder, dict):
                holder[draw(st.text(max_size=6))] = draw(JUNK)
            case _:
                holder[last] = draw(JUNK)
    return good, bad


def seen(world: World, only: str = "") -> dict[str, bytes]:
    """All that a sidecar and a gateway get; or what of it is about some host."""
    found = {}
    for kind, namespace, labels in (
        ("sidecar", "innocent", {"app": "web"}),
        ("sidecar", "shop", {"app": "web"}),
        ("router", "istio-system", {"istio": "ingressgateway"}),
    ):
        view = world.view(world.proxy(kind, namespace, "web", labels))
        for type_url, resources in view.resources.items():
            for name, resource in resources.items():
                if only in name or (only and name == "7777"):
                    found[f"{kind} {namespace} {type_url} {name}"] = resource.encoded
    return found


@given(mutated())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_bad_object_harms_nobody_else(pair: tuple[Json, Json]) -> None:
    good, bad = pair
    world = World([*OTHERS, good])
    before, innocent = seen(world), seen(world, "other.innocent")
    world.put(bad)
    assert seen(world, "other.innocent").keys() >= innocent.keys()
    metadata = good["metadata"]
    ref = Ref(good["kind"], metadata["namespace"], metadata["name"])
    try:
        MODELS[good["kind"]].parse(bad)
    except InvalidObject:
        assert seen(world) == before, "the last good reading stays in force"
        assert world.feed.problems[ref], "the fault is said"
    world.put(good)
    assert seen(world) == before
