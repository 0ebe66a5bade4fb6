"""The VirtualServices of the documented examples, step by step through a run, as files to be read and reviewed.

Each is a VirtualService that this project's own mesh takes without a problem. Written anew, and stale files dropped, by
`--update-goldens`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rollout.api.canary import Canary
from rollout.api.istio.virtualservice import VirtualService
from rollout.api.kinds import VIRTUAL_SERVICE
from rollout.delivery.affinity import affinity
from rollout.delivery.progress import Progress
from rollout.delivery.routing.istio import IstioRouter
from rollout.delivery.routing.router import Split, Weights
from rollout.delivery.strategies import strategy_of
from rollout.kube.objects import Object
from rollout.mesh.ingest.virtualservices import route_table

ROOT = Path(__file__).parent / "strategies"
EXAMPLES = Path(__file__).parents[2] / "e2e" / "examples"
COOKIE = "podinfo-canary=1f3870be274f6c49"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml") if path.stem != "app")


class Plain(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def example(name: str) -> Object:
    documents = yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text())
    canary: Object = next(each for each in documents if each["kind"] == "Canary")
    canary["metadata"] |= {"namespace": name, "uid": "uid"}
    return canary


def course(canary: Canary) -> list[tuple[str, Progress]]:
    """Before, each step until the promotion, and after."""
    found, at = [("before", Progress())], Progress()
    while (after := strategy_of(canary).next_step(canary, at).after) is not None:
        at = after
        found.append((f"step {len(found)}", at))
    return [*found, ("after", Progress())]


def rendered(name: str) -> str:
    obj = example(name)
    canary = Canary.parse(obj)
    shown = {}
    for step, at in course(canary):
        cookies = affinity(
            canary.spec.analysis.session_affinity,
            share=at.weight,
            current="" if step == "before" else COOKIE,
            previous="",
            run="",
            step=canary.interval(),
        )
        weigh = Weights.beside_baseline if canary.spec.fresh_baseline else Weights.of_canary
        split = Split(weights=weigh(at.weight), mirroring=at.mirroring, affinity=cookies)
        made = IstioRouter().routes(obj, lambda *_: None, split)[-1]
        assert made.kind == VIRTUAL_SERVICE
        _, problems = route_table(VirtualService.parse(made.desired))
        assert not problems, f"the mesh does not take it: {problems}"
        shown[step] = made.desired["spec"]
    return yaml.dump(shown, Dumper=Plain, sort_keys=False, width=110)


@pytest.mark.parametrize("name", NAMES)
def test_routes_of_the_example(name: str, request: pytest.FixtureRequest) -> None:
    golden = ROOT / f"{name}.yaml"
    if request.config.getoption("--update-goldens"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(rendered(name))
    assert rendered(name) == golden.read_text(), "run with --update-goldens"


def test_no_stale_files() -> None:
    assert {path.stem for path in ROOT.glob("*.yaml")} == set(NAMES)
