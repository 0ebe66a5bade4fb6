"""What the injector is told at its start: the image, where proxies find the control plane, how much they may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionConfig:
    """The same for every pod of the mesh; quantities are Kubernetes' (`10m`, `64Mi`), empty means none is set."""

    image: str
    discovery_address: str
    image_pull_policy: str = "IfNotPresent"
    concurrency: int = 2
    log_level: str = "warning"
    drain_seconds: int = 5
    cluster_domain: str = "cluster.local"
    cpu_request: str = "10m"
    memory_request: str = "80Mi"
    cpu_limit: str = ""
    memory_limit: str = "512Mi"
