"""What is applied: so many Deployments without replicas, each with a Canary, and the metrics that say they are well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rollout.kube.objects import Object

NAMESPACES = 10
INTERVAL = 10
_METRICS = (
    {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
    {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"},
)


def namespace(index: int) -> str:
    return f"shop-{index % NAMESPACES}"


def name(index: int) -> str:
    return f"app-{index}"


def _metadata(index: int) -> Object:
    return {"name": name(index), "namespace": namespace(index)}


def deployment(index: int) -> Object:
    labels = {"app": name(index)}
    container = {
        "name": "app",
        "image": "app:1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(index),
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def canary(index: int) -> Object:
    analysis: dict[str, Any] = {"interval": f"{INTERVAL}s", "threshold": 5}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": _metadata(index),
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name(index)},
            "service": {"port": 80, "targetPort": "http"},
            "analysis": analysis | {"maxWeight": 40, "stepWeight": 20, "metrics": list(_METRICS)},
        },
    }


def page(indices: Iterable[int], count: int) -> str:
    """Istio's series of these workloads after `count` scrapes: ten good, quick requests each time."""
    lines = []
    for index in indices:
        labels = (
            f'reporter="destination",destination_workload_namespace="{namespace(index)}",'
            f'destination_workload="{name(index)}"'
        )
        lines.append(f'istio_requests_total{{{labels},response_code="200"}} {10 * count}')
        lines += [
            f'istio_request_duration_milliseconds_bucket{{{labels},le="{le}"}} {10 * count}'
            for le in ("100", "+Inf")
        ]
    return "\n".join([*lines, ""])
