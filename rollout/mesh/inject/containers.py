"""The two containers and the volumes that a pod of the mesh gets, under Istio's names.

Pure. Must not know which pods get them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rollout.mesh.agent.settings import PROMETHEUS_PORT, PROXY_UID, READINESS_PORT, STATS_PREFIXES
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.workload import Workload

Json = dict[str, Any]

PROXY = "istio-proxy"
INIT = "istio-init"

_EXCLUSIONS = {
    "EXCLUDE_INBOUND_PORTS": "traffic.sidecar.istio.io/excludeInboundPorts",
    "EXCLUDE_OUTBOUND_PORTS": "traffic.sidecar.istio.io/excludeOutboundPorts",
    "EXCLUDE_OUTBOUND_IP_RANGES": "traffic.sidecar.istio.io/excludeOutboundIPRanges",
}

VOLUMES: tuple[Json, ...] = (
    {"name": "istio-envoy", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    {
        "name": "istio-podinfo",
        "downwardAPI": {
            "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
        },
    },
    {
        "name": "istio-token",
        "projected": {
            "sources": [
                {
                    "serviceAccountToken": {
                        "audience": "istio-ca",
                        "expirationSeconds": 43200,
                        "path": "istio-token",
                    }
                }
            ]
        },
    },
    {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
)


_INCLUSIONS = {
    "INCLUDE_INBOUND_PORTS": "traffic.sidecar.istio.io/includeInboundPorts",
    "INCLUDE_OUTBOUND_PORTS": "traffic.sidecar.istio.io/includeOutboundPorts",
    "INCLUDE_OUTBOUND_IP_RANGES": "traffic.sidecar.istio.io/includeOutboundIPRanges",
}


def init_container(config: InjectionConfig, annotations: Json) -> Json:
    """Sets the interception rules once, before anything else of the pod runs."""
    exclusions = [
        {"name": variable, "value": annotations[annotation]}
        for variable, annotation in _EXCLUSIONS.items()
        if annotations.get(annotation)
    ]
    # An empty one means nothing at all.
    inclusions = [
        {"name": variable, "value": annotations[annotation]}
        for variable, annotation in _INCLUSIONS.items()
        if annotations.get(annotation, "*") != "*"
    ]
    return {
        "name": INIT,
        "image": config.image,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["rollout"],
        "args": ["agent", "iptables"],
        "env": [_field("INSTANCE_IPS", "status.podIPs"), *exclusions, *inclusions],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": "128Mi"},
        },
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def proxy_container(
    config: InjectionConfig,
    workload: Workload,
    *,
    app_containers: list[str],
    app_probes: Json,
    app_metrics: Json,
    stats_prefixes: str = "",
    variables: Sequence[Json] = (),
) -> Json:
    """Envoy and its agent as a native sidecar: up before the application starts, down after it has ended."""
    env = [
        *_identity(),
        {"name": "DISCOVERY_ADDRESS", "value": config.discovery_address},
        {"name": "CLUSTER_DOMAIN", "value": config.cluster_domain},
        {"name": "PROXY_CONCURRENCY", "value": str(config.concurrency)},
        {"name": "PROXY_LOG_LEVEL", "value": config.log_level},
        {"name": "TERMINATION_DRAIN_SECONDS", "value": str(config.drain_seconds)},
        {"name": "ISTIO_META_WORKLOAD_NAME", "value": workload.name},
        {"name": "ISTIO_META_OWNER", "value": workload.owner},
        {"name": "ISTIO_META_APP_CONTAINERS", "value": ",".join(app_containers)},
    ]
    if app_probes:
        env.append({"name": "ISTIO_KUBE_APP_PROBERS", "value": _compact(app_probes)})
    if app_metrics:
        env.append({"name": "ISTIO_PROMETHEUS_ANNOTATIONS", "value": _compact(app_metrics)})
    if stats_prefixes:
        env.append({"name": STATS_PREFIXES, "value": stats_prefixes})
    env += variables
    probe = {"httpGet": {"path": "/healthz/ready", "port": READINESS_PORT}, "timeoutSeconds": 3}
    return {
        "name": PROXY,
        "image": config.image,
        "imagePullPolicy": config.image_pull_policy,
        "restartPolicy": "Always",
        "command": ["rollout"],
        "args": ["agent", "proxy", "sidecar"],
        "env": env,
        "ports": [{"name": "http-envoy-prom", "containerPort": PROMETHEUS_PORT, "protocol": "TCP"}],
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**probe, "periodSeconds": 5, "failureThreshold": 4},
        "resources": _resources(config),
        "securityContext": {
            "runAsUser": PROXY_UID,
            "runAsGroup": PROXY_UID,
            "runAsNonRoot": True,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"},
            {"name": "istio-podinfo", "mountPath": "/etc/istio/pod"},
            {"name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": True},
            {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio", "readOnly": True},
        ],
    }


def _identity() -> list[Json]:
    return [
        _field("POD_NAME", "metadata.name"),
        _field("POD_NAMESPACE", "metadata.namespace"),
        _field("INSTANCE_IP", "status.podIP"),
        _field("INSTANCE_IPS", "status.podIPs"),
        _field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        _field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    ]


def _field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _resources(config: InjectionConfig) -> Json:
    requests = {"cpu": config.cpu_request, "memory": config.memory_request}
    limits = {"cpu": config.cpu_limit, "memory": config.memory_limit}
    amounts = {
        kind: {name: amount for name, amount in values.items() if amount}
        for kind, values in (("requests", requests), ("limits", limits))
    }
    return {kind: values for kind, values in amounts.items() if values}


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
