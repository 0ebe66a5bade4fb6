"""Which pods get a proxy, and the JSON patch that gives it to them.

Pure and idempotent: a pod that has one gets nothing. Must not know how the patch reaches the API server.
"""

from __future__ import annotations

import json
from typing import Any

from rollout.mesh.agent.settings import AGENT_PORT
from rollout.mesh.inject import containers, gateway, probes, workload
from rollout.mesh.inject.annotations import tailored
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.proxyconfig import proxy_config

Json = dict[str, Any]

INJECT = "sidecar.istio.io/inject"
STATUS = "sidecar.istio.io/status"
INCLUDED_STATS = "sidecar.istio.io/statsInclusionPrefixes"
REWRITE_PROBES = "sidecar.istio.io/rewriteAppHTTPProbers"
METRICS_PATH = "/stats/prometheus"
TAKES_TLS = {"security.istio.io/tlsMode": "istio"}
"""Callers speak mutual TLS to pods that say so; gateways don't, they take what their servers say."""


def wants_proxy(pod: Json) -> bool:
    """Yes unless the pod says no, has one, or is on its node's network; a gateway has what is to become of its own.

    The API server has looked at the namespace's label by the time it asks, and knows it better than any cache here.
    """
    metadata, spec = pod.get("metadata", {}), pod.get("spec", {})
    annotations = metadata.get("annotations") or {}
    if spec.get("hostNetwork") or (spec.get("os") or {}).get("name") == "windows":
        return False
    if STATUS in annotations or _has_proxy(spec) is not gateway.wanted(annotations):
        return False
    word = (metadata.get("labels") or {}).get(INJECT) or annotations.get(INJECT)
    return word is None or word == "true"


def inject(pod: Json, namespace: str, config: InjectionConfig) -> list[Json]:
    """The JSON patch (RFC 6902) that adds the proxy; empty when the pod gets none."""
    if not wants_proxy(pod):
        return []
    metadata, spec = pod.get("metadata", {}), pod["spec"]
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    owner = workload.workload_of(pod, namespace)
    config = tailored(config, annotations)
    if gateway.wanted(annotations):
        return _gateway(spec, annotations, labels, owner, config)
    inits, apps, app_probes = _rewritten(spec, annotations)
    proxy = containers.proxy_container(
        config,
        owner,
        app_containers=[container["name"] for container in apps],
        app_probes=app_probes,
        app_metrics=_app_metrics(annotations),
        stats_prefixes=annotations.get(INCLUDED_STATS) or "",
        variables=proxy_config(annotations).env,
    )
    added = [containers.init_container(config, annotations), proxy]
    return [
        _set("/metadata/annotations", {**annotations, **_annotations(annotations, added)}),
        _set("/metadata/labels", {**TAKES_TLS, **_canonical(labels, owner.name), **labels}),
        _set("/spec/initContainers", [*added, *inits]),
        _set("/spec/containers", apps),
        _set("/spec/volumes", [*(spec.get("volumes") or ()), *containers.VOLUMES]),
    ]


def _gateway(
    spec: Json, annotations: Json, labels: Json, owner: workload.Workload, config: InjectionConfig
) -> list[Json]:
    """The pod's own container becomes the proxy; nothing is intercepted."""
    made = [
        gateway.gateway_container(each, config, owner, proxy_config(annotations).env)
        if each.get("name") == containers.PROXY
        else each
        for each in spec["containers"]
    ]
    named = {volume["name"] for volume in spec.get("volumes") or ()}
    volumes = [each for each in containers.VOLUMES if each["name"] not in named]
    return [
        _set("/metadata/annotations", {**annotations, **_annotations(annotations, [])}),
        _set("/metadata/labels", {**_canonical(labels, owner.name), **labels}),
        _set("/spec/containers", made),
        _set("/spec/volumes", [*(spec.get("volumes") or ()), *volumes]),
    ]


def _has_proxy(spec: Json) -> bool:
    every = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return any(container.get("name") == containers.PROXY for container in every)


def _rewritten(spec: Json, annotations: Json) -> tuple[list[Json], list[Json], Json]:
    """Init containers, containers, and the probes that the agent asks for them."""
    inits, apps = spec.get("initContainers") or [], spec.get("containers") or []
    if annotations.get(REWRITE_PROBES) == "false":
        return inits, apps, {}
    originals: Json = {}
    results: tuple[list[Json], list[Json]] = ([], [])
    for source, result in zip((inits, apps), results, strict=True):
        for container in source:
            changed, found = probes.rewrite(container)
            result.append(changed)
            originals.update(found)
    return *results, originals


def _annotations(annotations: Json, added: list[Json]) -> Json:
    status = {
        "initContainers": [container["name"] for container in added],
        "volumes": [volume["name"] for volume in containers.VOLUMES],
    }
    changed = {STATUS: json.dumps(status, separators=(",", ":"))}
    if annotations.get("prometheus.io/scrape") != "false":
        changed |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(AGENT_PORT),
            "prometheus.io/path": METRICS_PATH,
        }
    return changed


def _app_metrics(annotations: Json) -> Json:
    """Where the application's own page was to be scraped; the agent appends it to the proxy's."""
    if annotations.get("prometheus.io/scrape") != "true":
        return {}
    named = {key: annotations.get(f"prometheus.io/{key}", "") for key in ("scrape", "path", "port")}
    return {key: value for key, value in named.items() if value}


def _canonical(labels: Json, name: str) -> Json:
    return {
        "service.istio.io/canonical-name": workload.canonical_name(labels, name),
        "service.istio.io/canonical-revision": workload.canonical_revision(labels),
    }


def _set(path: str, value: Any) -> Json:
    """`add` replaces what is there."""
    return {"op": "add", "path": path, "value": value}
