"""The control plane's own metrics, by Istio's names where it has them."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rollout import __version__
from rollout.mesh.tally import Tally

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30)
_SHORT = {
    "Cluster": "cds",
    "ClusterLoadAssignment": "eds",
    "Listener": "lds",
    "RouteConfiguration": "rds",
    "VirtualHost": "vhds",
    "Secret": "sds",
    "TypedExtensionConfig": "ecds",
}


def short(type_url: str) -> str:
    """`cds`, `eds`, `lds`, `rds`, `vhds`, `sds` or `ecds`; `other` for any other type."""
    name = type_url.rsplit(".", 1)[-1]
    return _SHORT.get(name, "other")


class Metrics:
    """Everything that is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        build = Gauge(
            "istio_build",
            "The control plane's version",
            ["component", "tag"],
            registry=self.registry,
        )
        build.labels("pilot", __version__).set(1)
        self.proxies = Gauge(
            "pilot_xds", "Connected proxies, by version", ["version"], registry=self.registry
        )
        self.services = Gauge("pilot_services", "Services known", registry=self.registry)
        self.virtual_services = Gauge(
            "pilot_virt_services", "VirtualServices in force", registry=self.registry
        )
        self.duplicate_hosts = Gauge(
            "pilot_vservice_dup_domain",
            "VirtualServices with a host that another has",
            registry=self.registry,
        )
        self.pushes = Tally(
            "pilot_xds_pushes", "Responses sent, by type", ["type"], registry=self.registry
        )
        self.push_triggers = Tally(
            "pilot_push_triggers",
            "Pushes, by what changed: service, endpoint or config",
            ["type"],
            registry=self.registry,
        )
        self.rejects = Tally(
            "pilot_total_xds_rejects",
            "Resources refused by proxies",
            ["type"],
            registry=self.registry,
        )
        self.convergence = Histogram(
            "pilot_proxy_convergence_time",
            "Seconds from a change until a proxy has taken it",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.push_time = Histogram(
            "pilot_xds_push_time",
            "Seconds spent on making a change's resources",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.problems = Gauge(
            "rollout_mesh_problems",
            "Faults in routing objects, by kind",
            ["kind"],
            registry=self.registry,
        )
        self.csrs = Tally(
            "citadel_server_csr_count", "Certificates asked for", registry=self.registry
        )
        self.certificates = Tally(
            "citadel_server_success_cert_issuance_count",
            "Certificates issued",
            registry=self.registry,
        )
        self.csr_refusals = Counter(
            "citadel_server_refused_csr_count",
            "Certificates refused, by the call's status",
            ["status"],
            registry=self.registry,
        )
        self.certificates_withheld = Counter(
            "rollout_certificates_withheld",
            "Certificates refused on behalf of an experiment",
            ["experiment"],
            registry=self.registry,
        )
        self.root_expiry = Gauge(
            "citadel_server_root_cert_expiry_timestamp",
            "When the first root of the authority in force ends, seconds since 1970",
            registry=self.registry,
        )

    def connected(self, versions: Iterable[str]) -> None:
        """These proxies are, and no others."""
        self.proxies.clear()
        for version in versions:
            self.proxies.labels(version).inc()
