from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.mesh.agent.bootstrap import render
from rollout.mesh.agent.settings import from_environment
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.inject import inject
from rollout.mesh.inject.webhook import PATH, handlers

Json = dict[str, Any]

TLS_MODE = "security.istio.io/tlsMode"
CONFIG = InjectionConfig(image="rollout:1", discovery_address="rollout-mesh.sys.svc:15010")


def pod(*, metadata: Json | None = None, **spec: Any) -> Json:
    return {
        "metadata": {"generateName": "catalog-5d8f-", "labels": {"app": "catalog"}}
        | (metadata or {}),
        "spec": {"containers": [{"name": "web", "image": "web:1"}]} | spec,
    }


def injected(given_pod: Json, config: InjectionConfig = CONFIG) -> Json:
    """The pod as the API server would have it after the patch."""
    patched = copy.deepcopy(given_pod)
    for operation in inject(given_pod, "shop", config):
        *parents, last = operation["path"].strip("/").split("/")
        target = patched
        for parent in parents:
            target = target[parent]
        target[last] = operation["value"]
    return patched


def proxy_of(patched: Json) -> Json:
    return next(c for c in patched["spec"]["initContainers"] if c["name"] == "istio-proxy")


def env_of(container: Json) -> dict[str, Json]:
    return {variable["name"]: variable for variable in container["env"]}


def labelled(word: str) -> Json:
    return {"labels": {"sidecar.istio.io/inject": word}}


def annotated(word: str) -> Json:
    return {"annotations": {"sidecar.istio.io/inject": word}}


@pytest.mark.parametrize(
    ("candidate", "gets_one"),
    [
        (pod(), True),
        (pod(metadata=labelled("true")), True),
        (pod(metadata=labelled("false")), False),
        (pod(metadata=annotated("false")), False),
        (pod(metadata=labelled("true") | annotated("false")), True),
        (pod(hostNetwork=True), False),
        (pod(os={"name": "windows"}), False),
        (pod(metadata={"annotations": {"sidecar.istio.io/status": "{}"}}), False),
        (pod(containers=[{"name": "istio-proxy", "image": "x"}]), False),
        (pod(metadata={"labels": None, "annotations": None}), True),
    ],
    ids=[
        "plain",
        "label says yes",
        "label says no",
        "annotation says no",
        "the label counts before the annotation",
        "on the node's network",
        "Windows",
        "has one by its status",
        "has one of its own making",
        "no labels at all",
    ],
)
def test_who_gets_a_proxy(candidate: Json, *, gets_one: bool) -> None:
    assert bool(inject(candidate, "shop", CONFIG)) == gets_one


def test_a_second_look_adds_nothing() -> None:
    assert inject(injected(pod()), "shop", CONFIG) == []


def test_rules_then_the_proxy_then_the_pods_own_init_containers() -> None:
    patched = injected(pod(initContainers=[{"name": "migrate", "image": "m"}]))
    names = [container["name"] for container in patched["spec"]["initContainers"]]
    assert names == ["istio-init", "istio-proxy", "migrate"]


def test_the_proxy_is_a_native_sidecar_without_rights() -> None:
    proxy = proxy_of(injected(pod()))
    assert proxy["restartPolicy"] == "Always"
    assert proxy["args"] == ["agent", "proxy", "sidecar"]
    security = proxy["securityContext"]
    assert (security["runAsUser"], security["runAsNonRoot"]) == (1337, True)
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert proxy["startupProbe"]["httpGet"]["port"] == 15021


def test_only_the_init_container_is_root_and_only_for_the_rules() -> None:
    init = injected(pod())["spec"]["initContainers"][0]
    assert init["securityContext"]["runAsUser"] == 0
    assert init["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["NET_ADMIN", "NET_RAW"],
    }


@pytest.mark.parametrize(
    ("owner", "labels", "name", "plural"),
    [
        (("ReplicaSet", "catalog-5d8f"), {"pod-template-hash": "5d8f"}, "catalog", "deployments"),
        (("ReplicaSet", "by-hand"), {}, "by-hand", "replicasets"),
        (("StatefulSet", "db"), {}, "db", "statefulsets"),
        (("Job", "nightly-1"), {}, "nightly-1", "jobs"),
        (None, {}, "catalog-5d8f", "pods"),
    ],
    ids=["Deployment", "bare ReplicaSet", "StatefulSet", "Job", "bare pod"],
)
def test_the_workload_is_the_one_that_a_user_would_name(
    owner: tuple[str, str] | None, labels: dict[str, str], name: str, plural: str
) -> None:
    metadata: Json = {"labels": labels}
    if owner:
        reference = {"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1]}
        metadata["ownerReferences"] = [{**reference, "controller": True}]
    env = env_of(proxy_of(injected(pod(metadata=metadata))))
    assert env["ISTIO_META_WORKLOAD_NAME"]["value"] == name
    assert env["ISTIO_META_OWNER"]["value"].endswith(f"/namespaces/shop/{plural}/{name}")


def test_probes_go_to_the_agent_with_their_timing() -> None:
    web = {
        "name": "web",
        "image": "web:1",
        "ports": [{"name": "http", "containerPort": 3000}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        "livenessProbe": {"tcpSocket": {"port": 3000}, "timeoutSeconds": 3},
        "startupProbe": {"exec": {"command": ["true"]}},
    }
    patched = injected(pod(containers=[web]))
    container = patched["spec"]["containers"][0]
    assert container["readinessProbe"] == {
        "periodSeconds": 1,
        "httpGet": {"path": "/app-health/web/readyz", "port": 15020, "scheme": "HTTP"},
    }
    assert container["startupProbe"] == web["startupProbe"]
    probes = json.loads(env_of(proxy_of(patched))["ISTIO_KUBE_APP_PROBERS"]["value"])
    assert probes == {
        "/app-health/web/readyz": {
            "httpGet": {"path": "/healthz", "port": 3000},
            "timeoutSeconds": 1,
        },
        "/app-health/web/livez": {"tcpSocket": {"port": 3000}, "timeoutSeconds": 3},
    }


@pytest.mark.parametrize(
    "probe",
    [
        {"httpGet": {"path": "/", "port": 80, "host": "example.com"}},
        {"httpGet": {"path": "/", "port": "no-such-port"}},
    ],
    ids=["another host", "a port without a number"],
)
def test_probes_that_stay_as_they_are(probe: Json) -> None:
    web = {"name": "web", "image": "web:1", "livenessProbe": probe}
    assert injected(pod(containers=[web]))["spec"]["containers"] == [web]


def test_probes_stay_where_the_pod_asks_for_it() -> None:
    web = {"name": "web", "livenessProbe": {"tcpSocket": {"port": 1}}}
    annotations = {"sidecar.istio.io/rewriteAppHTTPProbers": "false"}
    candidate = pod(metadata={"annotations": annotations}, containers=[web])
    assert injected(candidate)["spec"]["containers"] == [web]


def test_prometheus_is_sent_to_the_merged_page_and_the_agent_to_the_applications() -> None:
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "9797"}
    patched = injected(pod(metadata={"annotations": annotations}))
    assert patched["metadata"]["annotations"]["prometheus.io/port"] == "15020"
    assert patched["metadata"]["annotations"]["prometheus.io/path"] == "/stats/prometheus"
    value = env_of(proxy_of(patched))["ISTIO_PROMETHEUS_ANNOTATIONS"]["value"]
    assert json.loads(value) == {"scrape": "true", "port": "9797"}


def test_a_pod_that_is_not_to_be_scraped_is_not() -> None:
    annotations = {"prometheus.io/scrape": "false"}
    patched = injected(pod(metadata={"annotations": annotations}))
    assert patched["metadata"]["annotations"]["prometheus.io/scrape"] == "false"
    assert "prometheus.io/port" not in patched["metadata"]["annotations"]


def test_exclusions_reach_the_init_container() -> None:
    annotations = {"traffic.sidecar.istio.io/excludeOutboundPorts": "5432"}
    init = injected(pod(metadata={"annotations": annotations}))["spec"]["initContainers"][0]
    assert env_of(init)["EXCLUDE_OUTBOUND_PORTS"]["value"] == "5432"


def test_the_pods_own_labels_win() -> None:
    labels = {"service.istio.io/canonical-name": "mine", "version": "v2"}
    patched = injected(pod(metadata={"labels": labels}))["metadata"]["labels"]
    assert patched["service.istio.io/canonical-name"] == "mine"
    assert patched["service.istio.io/canonical-revision"] == "v2"


def test_limits_that_are_not_set_are_left_out() -> None:
    config = InjectionConfig(image="a", discovery_address="b:1", memory_limit="", cpu_request="")
    assert proxy_of(injected(pod(), config))["resources"] == {"requests": {"memory": "80Mi"}}


_NAMES = st.sampled_from(["a", "b", "web", "migrate"])
_CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": _NAMES, "image": _NAMES},
        optional={
            "ports": st.lists(st.fixed_dictionaries({"containerPort": st.integers(1, 65535)})),
            "livenessProbe": st.one_of(
                st.fixed_dictionaries(
                    {"httpGet": st.fixed_dictionaries({"port": st.integers(1, 65535) | _NAMES})}
                ),
                st.fixed_dictionaries({"exec": st.just({"command": ["x"]})}),
                st.none(),
            ),
        },
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda container: str(container["name"]),
)


@given(containers=_CONTAINERS, inits=st.none() | _CONTAINERS, volumes=st.none() | st.just([]))
def test_nothing_of_the_pod_is_lost_and_twice_is_once(
    containers: list[Json], inits: list[Json] | None, volumes: list[Json] | None
) -> None:
    candidate = pod(containers=containers, initContainers=inits, volumes=volumes)
    before = copy.deepcopy(candidate)
    patched = injected(candidate)
    assert candidate == before
    assert [c["name"] for c in patched["spec"]["containers"]] == [c["name"] for c in containers]
    assert [c["name"] for c in patched["spec"]["initContainers"][2:]] == [
        c["name"] for c in inits or []
    ]
    assert injected(patched) == patched


async def test_the_webhook_answers_with_the_patch() -> None:
    review = handlers(CONFIG)[PATH]
    answer = await review({"uid": "1", "namespace": "shop", "object": pod()})
    assert answer.allowed
    assert list(answer.patch) == inject(pod(), "shop", CONFIG)
    declined = await review({"uid": "2", "namespace": "shop", "object": pod(hostNetwork=True)})
    assert declined.allowed
    assert not declined.patch


def test_statistics_that_are_asked_for_are_kept() -> None:
    prefixes = "cluster.outbound|80||catalog,http."
    annotations = {"sidecar.istio.io/statsInclusionPrefixes": prefixes}
    proxy = proxy_of(injected(pod(metadata={"annotations": annotations})))
    env = {name: each.get("value", "x") for name, each in env_of(proxy).items()}
    patterns = render(from_environment("sidecar", env), {})["stats_config"]["stats_matcher"]
    assert patterns["inclusion_list"]["patterns"][-2:] == [
        {"prefix": "cluster.outbound|80||catalog"},
        {"prefix": "http."},
    ]


def gateway_pod(**container: Any) -> Json:
    metadata = {
        "labels": {"app": "edge", "istio": "edge"},
        "annotations": {"inject.istio.io/templates": "gateway"},
    }
    return pod(metadata=metadata, containers=[{"name": "istio-proxy", "image": "auto"} | container])


def test_a_sidecar_proves_who_it_is() -> None:
    patched = injected(pod())
    assert patched["metadata"]["labels"][TLS_MODE] == "istio"
    mounts = {each["name"]: each["mountPath"] for each in proxy_of(patched)["volumeMounts"]}
    volumes = {each["name"]: each for each in patched["spec"]["volumes"]}
    (source,) = volumes["istio-token"]["projected"]["sources"]
    token = source["serviceAccountToken"]
    assert (token["audience"], token["path"]) == ("istio-ca", "istio-token")
    assert volumes["istiod-ca-cert"]["configMap"] == {"name": "istio-ca-root-cert"}
    assert mounts["istio-token"] == "/var/run/secrets/tokens"
    assert mounts["istiod-ca-cert"] == "/var/run/secrets/istio"
    assert volumes["istio-envoy"]["emptyDir"]["medium"] == "Memory", "keys touch no disk"


def test_a_gateway_is_its_pods_own_container() -> None:
    ports = [{"name": "https", "containerPort": 8443}]
    env = [{"name": "PROXY_LOG_LEVEL", "value": "debug"}]
    patched = injected(gateway_pod(ports=ports, env=env, imagePullPolicy="Always"))
    (proxy,) = patched["spec"]["containers"]
    assert "initContainers" not in patched["spec"]
    assert (proxy["image"], proxy["args"]) == ("rollout:1", ["agent", "proxy", "router"])
    assert proxy["imagePullPolicy"] == "IfNotPresent", (
        "the API server's default for an image without a tag"
    )
    assert "restartPolicy" not in proxy
    assert env_of(proxy)["PROXY_LOG_LEVEL"]["value"] == "debug"
    assert env_of(proxy)["DISCOVERY_ADDRESS"]["value"] == CONFIG.discovery_address
    assert ports[0] in proxy["ports"]
    assert {"name", "mountPath"} <= proxy["volumeMounts"][0].keys()
    mounted = {mount["name"] for mount in proxy["volumeMounts"]}
    assert mounted <= {volume["name"] for volume in patched["spec"]["volumes"]}
    assert patched["metadata"]["labels"]["istio"] == "edge"
    assert TLS_MODE not in patched["metadata"]["labels"], "it takes what its servers say"
    assert inject(patched, "shop", CONFIG) == []


@pytest.mark.parametrize(("given_pod", "gets_one"), [
    (gateway_pod(image="mine:1"), True),
    (pod(metadata={"annotations": {"inject.istio.io/templates": "gateway"}}), False),
    (pod(containers=[{"name": "istio-proxy", "image": "auto"}]), False),
], ids=["an image of one's own", "no container for it", "no template"])  # fmt: skip
def test_which_pods_are_gateways(given_pod: Json, gets_one: bool) -> None:
    patched = injected(given_pod)
    assert (patched != given_pod) is gets_one
    if gets_one:
        assert patched["spec"]["containers"][0]["image"] == "mine:1"
