"""Metrics of MetricTemplates, and what a query without a value means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rollout.judge.checks import NoData, QueryFailed, Source, Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import World, canary, deployment, initialized

_PATH = "spec.analysis.metrics[0].templateRef"
_HALT = "W Halt catalog-release.shop advancement"


def template(namespace: str = "shop", **provider: Any) -> Object:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "queue", "namespace": namespace},
        "spec": {
            "provider": {"type": "datadog", "secretRef": {"name": "creds"}, **provider},
            "query": 'avg:queue{app:{{ target }},v:{{ index variables "v" }}}[{{ interval }}]',
        },
    }


async def world_with(*objects: Object, **metric: Any) -> World:
    spec = {
        "name": "queue",
        "templateRef": {"name": "queue"},
        "templateVariables": {"v": "2"},
        "thresholdRange": {"max": 10},
        **metric,
    }
    analysis = {"metrics": [{k: v for k, v in spec.items() if v is not None}], "threshold": 2}
    world = await initialized(deployment(), canary(analysis=analysis), *objects)
    world.new_image("catalog:2")
    await world.settle()
    return world


async def test_a_template_is_asked_at_its_provider() -> None:
    world = await world_with(template(headers={"X": ["1", "2"]}, insecureSkipVerify=True))
    await world.tick(2)
    assert world.weight == 20
    assert world.queries == ["avg:queue{app:catalog,v:2}[1m]"]
    assert world.checks[0].source == Source(
        type="datadog",
        namespace="shop",
        template="queue",
        window=timedelta(minutes=1),
        secret="creds",
        headers=(("X", ("1", "2")),),
        verify=False,
    )


async def test_a_built_in_metric_with_a_template_is_both_and_comes_first() -> None:
    world = await world_with(template(), name="request-success-rate", thresholdRange={"min": 1})
    world.custom = Value(5.0)
    await world.tick(2)
    assert [check.source is None for check in world.checks] == [True, False]


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (Value(11.0), f"{_HALT} queue 11.00 > 10"),
        (
            NoData("no series has a point"),
            "W Halt advancement no values found for custom metric: queue: no series has a point",
        ),
        (
            QueryFailed("datadog answers 403", retriable=False),
            f"W Metric query failed for queue: {_PATH}: datadog answers 403",
        ),
    ],
)
async def test_what_a_template_may_come_to(answer: Any, event: str) -> None:
    world = await world_with(template())
    world.custom = answer
    await world.tick(2)
    assert world.events[-1] == event
    assert world.status["failedChecks"] == 1


@pytest.mark.parametrize(
    ("objects", "ref", "words"),
    [
        ((), {"name": "queue"}, "there is no MetricTemplate shop/queue"),
        (
            (template("other"),),
            {"name": "queue"},
            "there is no MetricTemplate shop/queue",
        ),
        ((template(type="nonsense"),), {"name": "queue"}, "spec.provider.type"),
    ],
)
async def test_a_template_that_cannot_be_used_holds_the_canary(
    objects: tuple[Object, ...], ref: dict[str, str], words: str
) -> None:
    world = await world_with(*objects, templateRef=ref)
    await world.tick(2)
    assert world.weight == 10
    assert world.events[-1].startswith(
        "W Metric query failed for queue: spec.analysis.metrics[0].templateRef: "
    )
    assert words in world.events[-1]
    world.put(template())
    await world.tick()
    assert world.weight == 20, "it recovers without help"


async def test_a_template_of_another_namespace() -> None:
    world = await world_with(template("other"), templateRef={"name": "queue", "namespace": "other"})
    await world.tick(2)
    assert world.weight == 20


@pytest.mark.parametrize(
    ("policy", "weight", "failed"),
    [(None, 10, 1), ("fail", 10, 1), ("hold", 10, 0), ("pass", 20, 0)],
)
async def test_no_data_policy(policy: str | None, weight: int, failed: int) -> None:
    world = await world_with(template(), noDataPolicy=policy)
    world.custom = NoData("nothing")
    await world.tick(2)
    assert (world.weight, world.status["failedChecks"]) == (weight, failed)


async def test_holding_is_told_once_and_ends_with_the_first_value() -> None:
    world = await world_with(template(), noDataPolicy="hold")
    world.custom = NoData("nothing")
    await world.tick(8)
    assert (world.phase, world.weight) == ("Progressing", 10)
    assert len([event for event in world.events if "no values found" in event]) == 1
    assert len(world.queries) == 7, "once an interval"
    world.custom = Value(1.0)
    await world.tick()
    assert world.weight == 20


async def test_requests_of_the_revision_before_are_no_evidence() -> None:
    metric = {"name": "queue", "query": "f({{ target }}[{{ interval }}])", "interval": "3m"}
    analysis = {"metrics": [{**metric, "thresholdRange": {"max": 10}}]}
    world = await initialized(deployment(), canary(analysis=analysis))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(5)
    assert world.queries == [f"f(catalog[{window}])" for window in ("90s", "135s", "3m", "3m")]
