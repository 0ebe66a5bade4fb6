"""What a check of a migration says of one canary of Flagger's."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rollout.api.kinds import CANARY
from rollout.cli.migrate.examine import examine
from rollout.cli.migrate.finding import CanaryReport, Level
from rollout.cli.migrate.flagger import find
from rollout.delivery.observe import Observer
from rollout.kube.objects import Object
from tests.unit.delivery.test_takeover import failed, flaggers, succeeded
from tests.unit.delivery.world import KEY, World, canary, deployment

SHELL = {"type": "cmd", "cmd": "curl http://a | grep b"}
LOADTESTER = {"name": "load", "url": "http://flagger-loadtester.test/", "metadata": SHELL}


def report(world: World, providers: dict[str, Object] | None = None) -> CanaryReport:
    seen = Observer(world.stores, world.settings).snapshot(KEY)
    assert seen is not None
    return examine(seen, lambda _, name: (providers or {}).get(name), world.now)


def with_spec(**spec: Any) -> World:
    return World(deployment(), canary(**spec))


async def test_a_canary_that_stays_where_it_is() -> None:
    world = await succeeded()
    flaggers(world)
    before = copy.deepcopy(world.need(CANARY, KEY.name))
    found = report(world)
    assert found.then == "catalog.shop is what catalog-primary.shop runs; nothing is rolled out"
    assert (found.phase, found.level, found.findings) == ("Succeeded", Level.NOTE, ())
    assert world.need(CANARY, KEY.name) == before


async def test_a_canary_whose_target_moved() -> None:
    world = await succeeded()
    flaggers(world)
    world.new_image("catalog:3")
    assert report(world).then == "a rollout begins: its target is not what the primary runs"


async def test_a_canary_that_failed() -> None:
    world = await failed()
    flaggers(world)
    assert report(world).then.startswith("catalog.shop counts as the revision that failed")


ALERT = {"name": "chat", "providerRef": {"name": "chat"}}
CHAT = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "AlertProvider",
    "metadata": {"name": "chat", "namespace": "shop"},
    "spec": {"type": "msteams", "address": "https://chat"},
}


@pytest.mark.parametrize(
    ("spec", "level", "field", "words"),
    [
        pytest.param(
            {"provider": "linkerd"},
            Level.REFUSED,
            "spec.provider",
            "use gatewayapi:v1, istio, kubernetes",
            id="a provider without a router",
        ),
        pytest.param(
            {"upstreamRef": {"apiVersion": "g/v1", "kind": "Upstream", "name": "x"}},
            Level.DIFFERS,
            "spec.upstreamRef",
            "not supported",
            id="a field that is ignored",
        ),
        pytest.param(
            {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}},
            Level.REFUSED,
            "spec",
            "there is no Deployment 'gone'",
            id="no target",
        ),
        pytest.param(
            {"analysis": {"metrics": [{"name": "m", "templateRef": {"name": "mine"}}]}},
            Level.REFUSED,
            "spec.analysis.metrics[0].templateRef",
            "there is no MetricTemplate shop/mine",
            id="no template",
        ),
        pytest.param(
            {"analysis": {"alerts": [ALERT]}},
            Level.DIFFERS,
            "spec.analysis.alerts[0].severity",
            "Flagger sends nothing",
            id="no severity",
        ),
        pytest.param(
            {"analysis": {"alerts": [ALERT | {"severity": "error"}]}},
            Level.DIFFERS,
            "spec.analysis.alerts[0].providerRef",
            "workflow's webhook",
            id="Teams",
        ),
        pytest.param(
            {"analysis": {"webhooks": [LOADTESTER]}},
            Level.DIFFERS,
            "spec.analysis.webhooks[0].metadata",
            "no shell reads it",
            id="a command for a shell",
        ),
        pytest.param(
            {"analysis": {"threshold": "many"}},
            Level.REFUSED,
            "spec.analysis.threshold",
            "",
            id="it cannot be read",
        ),
    ],
)
def test_findings(spec: dict[str, Any], level: Level, field: str, words: str) -> None:
    found = report(with_spec(**spec), {"chat": CHAT})
    first = found.findings[0]
    assert (first.level, first.about.path) == (level, field)
    assert words in str(first.about)


def flagger_at(image: str, replicas: int = 1, *args: str) -> Object:
    found = deployment(image=image, replicas=replicas)
    found["spec"]["template"]["spec"]["containers"][0]["args"] = list(args)
    return found


def test_what_is_refused_is_held() -> None:
    assert report(with_spec(provider="linkerd")).then == "is held until it is mended"
    assert report(with_spec()).then == "is initialized"


def test_flagger_that_runs() -> None:
    flags = ("-mesh-provider=linkerd", "-metrics-server=http://p", "-ingress-class=nginx")
    (found,) = find([flagger_at("registry.example/fluxcd/flagger:1.44.0", 1, *flags), deployment()])
    assert found.carried == ("--mesh-provider=linkerd", "--metrics-server=http://p")
    said = [(each.level, str(each.about)) for each in found.findings()]
    assert [level for level, _ in said] == [Level.DIFFERS, Level.REFUSED, Level.DIFFERS, Level.NOTE]
    assert "kubectl -n shop scale deployment catalog --replicas=0" in said[0][1]


@pytest.mark.parametrize(
    "image",
    ["registry.example/fluxcd/flagger-loadtester:0.34.0", "flagger-ui", "x/flagger/other:1"],
)
def test_what_is_not_flagger(image: str) -> None:
    assert find([flagger_at(image)]) == ()


def test_flagger_that_is_stopped_needs_nothing() -> None:
    (found,) = find([flagger_at("flagger@sha256:0", 0)])
    assert list(found.findings()) == []
