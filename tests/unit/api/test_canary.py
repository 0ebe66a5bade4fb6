"""A Canary is read with Flagger's names and defaults, and refused with every problem, its place and its remedy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import Canary, Phase, effective, notices, unsupported
from rollout.api.errors import InvalidObject
from rollout.api.metrictemplate import MetricTemplate
from tests.unit.api.samples import BOOK, FULL, with_change

Change = Callable[[Any], object]
ROUTE = {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "name": "r"}


def refusals(obj: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidObject) as refused:
        Canary.parse(obj)
    return list(map(str, refused.value.errors))


def judged(**judge: Any) -> Change:
    given = {"method": "sequential", **judge}
    return lambda spec: spec["analysis"].update(judge=given)


def both(first: Change, second: Change) -> Change:
    def change(spec: dict[str, Any]) -> None:
        first(spec)
        second(spec)

    return change


def counted(spec: dict[str, Any], **analysis: Any) -> None:
    del spec["analysis"]["stepWeight"], spec["analysis"]["maxWeight"]
    spec["analysis"].update(iterations=5, **analysis)


def test_the_books_canary() -> None:
    canary = Canary.parse(BOOK)
    assert (canary.namespace, canary.name) == ("istioinaction", "catalog-release")
    assert (canary.target_name, canary.primary_name) == ("catalog", "catalog-primary")
    assert (canary.apex_name, canary.primary_service_name, canary.canary_service_name) == (
        "catalog",
        "catalog-primary",
        "catalog-canary",
    )
    assert canary.service.target_port == 3000
    assert canary.steps == (10, 20, 30, 40, 50)
    assert (canary.max_weight, canary.threshold) == (50, 5)
    assert canary.interval() == timedelta(seconds=45)
    assert canary.progress_deadline == timedelta(seconds=60)
    assert [metric.window for metric in canary.spec.analysis.metrics] == ["1m", "30s"]
    assert canary.status.phase is Phase.NONE
    assert not unsupported(canary)
    assert not notices(canary)


def test_every_field_is_read_and_written_back() -> None:
    canary = Canary.parse(FULL)
    assert canary.dump()["spec"] == FULL["spec"]
    assert Canary.parse(canary.dump()) == canary


def test_it_cannot_be_changed() -> None:
    canary = Canary.parse(BOOK)
    with pytest.raises(ValidationError, match="frozen"):
        canary.spec.analysis.threshold = 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda s: s["analysis"].update(stepWieght=1), "spec.analysis.stepWieght: unknown field (did you mean stepWeight?)", id="misspelt"),
        pytest.param(lambda s: s["analysis"].update(step_weight=1), "spec.analysis.step_weight: unknown field (did you mean stepWeight?)", id="snake case"),
        pytest.param(lambda s: s.update(canaryAnalysis={}), "spec.canaryAnalysis: unknown field (did you mean analysis?)", id="Flagger's old name"),
        pytest.param(lambda s: s["service"].update(retries={"attemps": 1}), "spec.service.retries.attemps: unknown field (did you mean attempts?)", id="misspelt deep inside"),
        pytest.param(lambda s: s["analysis"].pop("stepWeight"), "spec.analysis.stepWeight: is required (set exactly one of iterations, stepWeight, stepWeights)", id="no way to advance"),
        pytest.param(lambda s: s["analysis"].update(stepWeights=[10]), "spec.analysis: sets stepWeight and stepWeights (keep exactly one of them)", id="two ways"),
        pytest.param(lambda s: s["analysis"].update(stepWeight=0), "spec.analysis.stepWeight: 0 is not a weight (give a percentage from 1 to 100)", id="step 0"),
        pytest.param(lambda s: s["analysis"].update(maxWeight=101), "spec.analysis.maxWeight: 101 is not a percentage (give a number from 0 to 100)", id="max above 100"),
        pytest.param(lambda s: (s["analysis"].pop("stepWeight"), s["analysis"].update(stepWeights=[10, 10])), "spec.analysis.stepWeights[1]: 10 is not above 10 (name rising weights)", id="steps do not rise"),
        pytest.param(lambda s: (s["analysis"].pop("stepWeight"), s["analysis"].update(stepWeights=[])), "spec.analysis.stepWeights: is empty (name weights from 1 to 100)", id="no steps"),
        pytest.param(lambda s: (s["analysis"].pop("stepWeight"), s["analysis"].update(iterations=0)), "spec.analysis.iterations: is 0 (give 1 or more)", id="no iterations"),
        pytest.param(lambda s: s["analysis"].update(interval="1x"), "spec.analysis.interval: '1x' is not a duration (write it like 500ms, 30s, 1m or 1m30s)", id="bad interval"),
        pytest.param(lambda s: s["analysis"].update(interval=45), "spec.analysis.interval: must be a duration (write it like 500ms, 30s, 1m or 1m30s)", id="interval without a unit"),
        pytest.param(lambda s: s["analysis"].pop("interval"), "spec.analysis.interval: is required (add it)", id="no interval"),
        pytest.param(lambda s: s["analysis"].update(threshold="5"), "spec.analysis.threshold: must be a whole number (write it without quotes or a fraction)", id="quoted number"),
        pytest.param(lambda s: s.update(suspend="yes"), "spec.suspend: must be true or false (write it without quotes)", id="quoted boolean"),
        pytest.param(judged(method="bayes"), "spec.analysis.judge.method: is not a known value (use 'sequential')", id="another method"),
        pytest.param(judged(alpha=0), "spec.analysis.judge.alpha: 0 is not from 0.0001 to 0.5 (give a part of 1, like 0.01)", id="no alpha"),
        pytest.param(judged(beta=0.6), "spec.analysis.judge.beta: 0.6 is not from 0.0001 to 0.5 (give a part of 1, like 0.01)", id="large beta"),
        pytest.param(judged(tolerance=1), "spec.analysis.judge.tolerance: 1 is not from 0.0001 to 0.5 (give a part of 1, like 0.01)", id="everything tolerated"),
        pytest.param(judged(maxDuration="1s"), "spec.analysis.judge.maxDuration: 1s is too short for any decision (give at least 10s)", id="no time"),
        pytest.param(judged(onInconclusive="guess"), "spec.analysis.judge.onInconclusive: is not a known value (use 'pause', 'promote' or 'rollback')", id="a guess"),
        pytest.param(both(judged(), lambda s: s["analysis"].update(metrics=[{"name": "x", "query": "y"}])), "spec.analysis.judge: has no metric whose requests are counted (add request-success-rate or request-duration to metrics)", id="nothing to judge"),
        pytest.param(both(judged(), lambda s: counted(s, match=[{"headers": {"x": {"exact": "y"}}}])), "spec.analysis.judge: is not for A/B tests: requests that were chosen for one arm prove nothing (remove it, or match)", id="judge of an A/B test"),
        pytest.param(both(judged(), counted), "spec.analysis.judge: needs requests of the same kind for both arms, which blue/green has none of (set mirror, or stepWeight in place of iterations)", id="judge of blue/green"),
        pytest.param(both(judged(baseline="fresh"), lambda s: s["analysis"].update(mirror=True)), "spec.analysis.judge.baseline: 'fresh' excludes mirror: copies of requests go to the canary alone (use primary, or remove mirror)", id="a baseline without copies"),
        pytest.param(both(judged(baseline="fresh"), lambda s: s["analysis"].update(sessionAffinity={"cookieName": "c"})), "spec.analysis.judge.baseline: 'fresh' excludes sessionAffinity: nobody stays with the baseline (use primary, or remove sessionAffinity)", id="a baseline that nobody stays with"),
        pytest.param(both(judged(baseline="fresh"), lambda s: s["targetRef"].update(kind="StatefulSet")), "spec.analysis.judge.baseline: 'fresh' is for Deployments, not for a StatefulSet (use primary)", id="a baseline of a StatefulSet"),
        pytest.param(both(judged(baseline="fresh"), lambda s: s.update(routeRef={"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "name": "theirs"})), "spec.analysis.judge.baseline: 'fresh' excludes routeRef: of that route, only the weights of two services are set (use primary, or let the route be generated)", id="a baseline in somebody's route"),
        pytest.param(both(judged(baseline="fresh"), lambda s: s["service"].update(name="s" * 55)), f"spec.analysis.judge.baseline: '{'s' * 55}' with -baseline is longer than 63 characters (set service.name to at most 54, or use primary)", id="a long name with a baseline"),
        pytest.param(lambda s: s["analysis"]["metrics"].append({"name": "x", "query": "y", "direction": "increase"}), "spec.analysis.metrics[2].direction: is for judge, which is not set (set judge, or remove it)", id="a direction without a judge"),
        pytest.param(lambda s: s["analysis"]["metrics"][0].update(direction="increase"), "spec.analysis.metrics[0].direction: is known for request-success-rate, whose requests are counted (remove it)", id="direction of a built-in metric"),
        pytest.param(lambda s: s["analysis"].update(metrics={}), 'spec.analysis.metrics: must be a list (write its items below it, each after "- ")', id="map for a list"),
        pytest.param(lambda s: s["analysis"]["metrics"][0].update(interval="1.5m"), "spec.analysis.metrics[0].interval: '1.5m' is not a Prometheus duration (write it like 30s, 1m or 1h30m)", id="metric's window"),
        pytest.param(lambda s: s["analysis"]["metrics"][0].update(name="errors"), "spec.analysis.metrics[0]: 'errors' is not built in and has neither query nor templateRef (add one, or use request-success-rate or request-duration)", id="metric without a query"),
        pytest.param(lambda s: s["analysis"]["metrics"][0].update(query="up{a={{ taget }}}"), "spec.analysis.metrics[0].query: does not parse at line 1, column 9: function 'taget' is not defined (a template may use ingress, interval, name, namespace, route, service, target, variables)", id="query does not parse"),
        pytest.param(lambda s: s["analysis"]["metrics"][0].update(thresholdRange={"min": 2, "max": 1}), "spec.analysis.metrics[0].thresholdRange: min 2 is above max 1 (swap them)", id="range the wrong way round"),
        pytest.param(lambda s: s["analysis"].update(webhooks=[{"name": "x", "url": "localhost:80"}]), "spec.analysis.webhooks[0].url: 'localhost:80' is not a URL (write it like http://host:port/path)", id="webhook's URL"),
        pytest.param(lambda s: s["analysis"].update(webhooks=[{"name": "x", "url": "http://x", "type": "before"}]), "spec.analysis.webhooks[0].type: is not a known value (use '', 'confirm-rollout', 'pre-rollout', 'rollout', 'confirm-traffic-increase', 'confirm-promotion', 'post-rollout', 'event' or 'rollback')", id="webhook's type"),
        pytest.param(lambda s: s["analysis"].update(sessionAffinity={"cookieName": "a", "primaryCookieName": "a"}), "spec.analysis.sessionAffinity.primaryCookieName: equals cookieName (give it another name)", id="cookies alike"),
        pytest.param(lambda s: s["targetRef"].update(kind="Job"), "spec.targetRef.kind: is not a known value (use 'DaemonSet', 'Deployment', 'Service' or 'StatefulSet')", id="target's kind"),
        pytest.param(lambda s: s.pop("service"), "spec.service: is required (add it, with its port)", id="no service"),
        pytest.param(lambda s: s["service"].update(port=0), "spec.service.port: 0 is not a port (give a number from 1 to 65535)", id="port 0"),
        pytest.param(lambda s: s["service"].update(targetPort=True), "spec.service.targetPort: must be a port's number or its name (write 9898 or http)", id="boolean port"),
        pytest.param(lambda s: s["service"].update(name="Catalog"), "spec.service.name: 'Catalog' cannot name a Service (set service.name to lower-case letters, digits and hyphens)", id="service's name"),
        pytest.param(lambda s: s["service"].update(name="c" * 56), f"spec.service.name: {'c' * 56!r} with -primary is longer than 63 characters (set service.name to at most 55)", id="long name"),
        pytest.param(lambda s: s["service"].update(delegation=True), "spec.service.delegation: excludes hosts and gateways (remove delegation, or both)", id="delegate with hosts"),
        pytest.param(lambda s: s["service"].update(match=[{"headers": {"x": {"exact": False}}}]), "spec.service.match[0].headers.x.exact: is the boolean false, not a string (quote it: YAML reads an unquoted yes, no, on, off, true or false as a boolean)", id="YAML's boolean"),
        pytest.param(lambda s: s["service"].update(apex={"labels": {"version": 1}}), 'spec.service.apex.labels.version: is the number 1, not a string (quote it: "1")', id="number in a label"),
        pytest.param(lambda s: s.update(provider="gatewayapi:v1"), "spec.service.gatewayRefs: is required by gatewayapi:v1 (add it)", id="Gateway API without a gateway"),
        pytest.param(lambda s: s.update(routeRef={"apiVersion": "v1", "kind": "HTTPRoute", "name": "r"}), "spec.routeRef.apiVersion: 'v1' has no HTTPRoute (use gateway.networking.k8s.io/v1)", id="a route of another group"),
        pytest.param(lambda s: (s.update(routeRef=ROUTE), s["analysis"].update(mirror=True)), "spec.analysis.mirror: excludes routeRef (remove one of them)", id="copies in somebody's route"),
        pytest.param(lambda s: s["analysis"].update(replicaRatio=True, sessionAffinity={"cookieName": "a"}), "spec.analysis.sessionAffinity: excludes analysis.replicaRatio (remove one of them)", id="cookies with shares of pods"),
        pytest.param(lambda s: (s.update(provider="istio"), s["analysis"].update(replicaRatio=True)), "spec.analysis.replicaRatio: is not for provider istio (use provider kubernetes)", id="shares of pods with a mesh"),
        pytest.param(lambda s: s["service"].update(hosts=["a b"]), "spec.service.hosts[0]: 'a b' is not a host (write a DNS name)", id="malformed host"),
    ],
)  # fmt: skip
def test_is_refused(change: Change, expected: str) -> None:
    assert expected in refusals(with_change(BOOK, change))


IGNORED: dict[str, tuple[Change, str, tuple[str, ...]]] = {
    "a Gateway's fields with Istio": (
        lambda s: s["service"].update(gatewayRefs=[{"name": "g"}]),
        "istio",
        ("spec.service.gatewayRefs",),
    ),
    "Istio's with a Gateway": (
        lambda s: s["service"].update(
            gatewayRefs=[{"name": "g"}], trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}
        ),
        "gatewayapi:v1beta1",
        ("spec.service.gateways", "spec.service.trafficPolicy"),
    ),
    "conditions that a Gateway cannot express": (
        lambda s: s["service"].update(
            gatewayRefs=[{"name": "g"}], gateways=[], match=[{"authority": {"exact": "a"}}]
        ),
        "gatewayapi:v1",
        ("spec.service.match[0].authority",),
    ),
    "routes on plain Kubernetes": (
        lambda s: None,
        "kubernetes",
        ("spec.service.gateways", "spec.service.hosts"),
    ),
    "routes beside somebody's": (
        lambda s: s.update(routeRef=ROUTE),
        "istio",
        ("spec.service.gateways", "spec.service.hosts"),
    ),
}


@pytest.mark.parametrize("name", IGNORED)
def test_fields_that_a_provider_has_no_words_for(name: str) -> None:
    change, provider, paths = IGNORED[name]
    parsed = Canary.parse(with_change(BOOK, change))
    assert tuple(sorted(error.path for error in unsupported(parsed, provider))) == paths


def test_what_plain_kubernetes_makes_of_a_canary() -> None:
    match = [{"headers": {"x": {"exact": "1"}}}]
    weighted = Canary.parse(with_change(BOOK, lambda s: s["analysis"].update(match=match)))
    assert effective(weighted, "istio") == (weighted, ())
    changed, told = effective(weighted, "kubernetes")
    analysis = changed.spec.analysis
    assert (analysis.iterations, analysis.step_weight, analysis.match) == (10, None, ())
    assert len(told) == 3
    pods = Canary.parse(with_change(BOOK, lambda s: s["analysis"].update(replicaRatio=True)))
    changed, told = effective(pods, "kubernetes")
    assert changed.spec.analysis.step_weight == pods.spec.analysis.step_weight
    assert changed.spec.analysis.iterations is None
    assert told == ()


def test_every_problem_at_once() -> None:
    def spoil(spec: Any) -> None:
        spec["analysis"]["stepWieght"] = spec["analysis"].pop("stepWeight")
        spec["analysis"]["interval"] = "soon"
        spec["service"]["port"] = "80"
        del spec["targetRef"]["name"]

    found = refusals(with_change(BOOK, spoil))
    assert [text.partition(":")[0] for text in found] == [
        "spec.analysis.stepWieght",
        "spec.targetRef.name",
        "spec.service.port",
        "spec.analysis.interval",
    ]


def test_the_sentence_names_the_object() -> None:
    with pytest.raises(
        InvalidObject, match=r"^Canary istioinaction/catalog-release: spec.suspend: must"
    ):
        Canary.parse(with_change(BOOK, lambda spec: spec.update(suspend=1)))


@pytest.mark.parametrize(
    "obj", [{}, {"spec": None}, {"spec": []}, {"metadata": [], "spec": {"analysis": 1}}], ids=str
)
def test_no_canary_at_all(obj: dict[str, Any]) -> None:
    assert refusals(obj)


def test_null_means_unset() -> None:
    canary = with_change(
        BOOK, lambda spec: spec["analysis"].update(webhooks=None, stepWeights=None)
    )
    assert Canary.parse(canary).spec.analysis.webhooks == ()


def test_a_status_of_flaggers_is_read_whatever_it_holds() -> None:
    obj = copy.deepcopy(BOOK) | {
        "status": {
            "phase": "Progressing",
            "canaryWeight": 20,
            "trackedConfigs": {"configmap/a": "12345678"},
            "lastTransitionTime": "2021-01-20T22:58:41Z",
            "conditions": [{"type": "Promoted", "status": "Unknown", "reason": "Progressing"}],
            "ofANewerVersion": 1,
        }
    }
    status = Canary.parse(obj).status
    assert status.phase is Phase.PROGRESSING
    assert status.last_transition_time is not None
    promoted = status.condition("Promoted")
    assert promoted is not None
    assert promoted.reason == "Progressing"


@pytest.mark.parametrize(
    ("analysis", "steps", "most"),
    [
        ({"stepWeight": 30, "maxWeight": 50}, (30, 60), 50),
        ({"stepWeight": 50}, (50, 100), 100),
        ({"stepWeight": 100}, (100,), 100),
        ({"stepWeight": 40, "maxWeight": 0}, (40, 80, 100), 100),
        ({"stepWeights": [1, 5, 80], "maxWeight": 20}, (1, 5, 80), 80),
        ({"iterations": 5}, (), 100),
    ],
    ids=str,
)
def test_steps(analysis: dict[str, Any], steps: tuple[int, ...], most: int) -> None:
    def change(spec: Any) -> None:
        spec["analysis"] = {"interval": "1m", "threshold": 1, **analysis}

    canary = Canary.parse(with_change(BOOK, change))
    assert (canary.steps, canary.max_weight) == (steps, most)


def test_values_that_are_read_as_others_are_said() -> None:
    def change(spec: Any) -> None:
        spec["analysis"].update(interval="3s", threshold=0, maxWeight=0)
        spec["analysis"]["metrics"] = [{"name": "request-duration", "query": "up"}]

    canary = Canary.parse(with_change(BOOK, change))
    assert canary.interval() == timedelta(seconds=10)
    assert canary.interval(timedelta(seconds=1)) == timedelta(seconds=3)
    assert (canary.threshold, canary.max_weight) == (1, 100)
    assert [str(notice).partition(" (")[0] for notice in notices(canary)] == [
        "spec.analysis.interval: 3s is raised to 10s",
        "spec.analysis.threshold: 0 is read as 1",
        "spec.analysis.maxWeight: 0 is read as 100",
        "spec.analysis.metrics[0]: has no thresholdRange, which is read as threshold 0",
    ]
    assert len(notices(canary, timedelta(seconds=1))) == 3


def test_what_is_not_acted_upon_is_said() -> None:
    canary = Canary.parse(with_change(FULL, lambda spec: spec.update(provider="nginx")))
    paths = [error.path for error in unsupported(canary)]
    assert "spec.provider" in paths
    assert "spec.upstreamRef" in paths
    assert "spec.analysis.webhooks" not in paths
    assert "spec.analysis.metrics[2].templateRef" not in paths
    assert all(error.remedy for error in unsupported(canary))
    assert "spec.service.headless" not in paths, "a false switch asks for nothing"


def test_metric_template_and_alert_provider() -> None:
    def whole(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": "x", "namespace": "y"}
        return {
            "apiVersion": "flagger.app/v1beta1",
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
        }

    template = whole(
        "MetricTemplate", {"provider": {"type": "prometheus"}, "query": "up{{ target }}"}
    )
    assert MetricTemplate.parse(template).spec.query == "up{{ target }}"
    template["spec"] |= {"query": "{{ end }}", "provder": {}}
    with pytest.raises(InvalidObject, match=r"did you mean provider.*spec.query: does not parse"):
        MetricTemplate.parse(template)
    with pytest.raises(InvalidObject, match="exactly one of address and secretRef"):
        AlertProvider.parse(whole("AlertProvider", {"type": "slack"}))
