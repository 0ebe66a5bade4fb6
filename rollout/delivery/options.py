"""The settings of the delivery controller's process, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from rollout.delivery.alerts.routes import Chat
from rollout.delivery.snapshot import Settings
from rollout.kube.election import Contest
from rollout.kube.lease import identity

SERVICE_NAME = "rollout-controller"
"""The Service, and so the webhook and the leases, of the controller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The process' settings; where Flagger has the flag, it has Flagger's name and default. Port 0 means not served."""

    kubeconfig: str | None = None
    metrics_server: str = "http://prometheus:9090"
    mesh_provider: str = "istio"
    minimum_interval: timedelta = timedelta(seconds=10)
    port: int = 8080
    webhook_port: int = 9443
    namespace: str = ""
    selector_labels: tuple[str, ...] = ("app", "name", "app.kubernetes.io/name")
    include_label_prefix: tuple[str, ...] = ()
    enable_config_tracking: bool = True
    cluster_name: str = ""
    event_webhook: str = ""
    chats: tuple[Chat, ...] = ()
    no_cross_namespace_refs: bool = False
    system_namespace: str = "rollout-system"
    enable_leader_election: bool = False
    leader_election_namespace: str = ""
    shards: int = 1

    @property
    def contest(self) -> Contest | None:
        """What replicas compete for; None where this process is alone."""
        if not self.enable_leader_election and self.shards == 1:
            return None
        return Contest(
            group=SERVICE_NAME,
            namespace=self.leader_election_namespace or self.system_namespace,
            identity=identity(),
            shards=self.shards,
        )

    @property
    def settings(self) -> Settings:
        """What of it every decision sees."""
        return Settings(
            mesh_provider=self.mesh_provider,
            metrics_server=self.metrics_server,
            selector_labels=self.selector_labels,
            include_label_prefixes=self.include_label_prefix,
            config_tracking=self.enable_config_tracking,
            minimum_interval=self.minimum_interval,
            no_cross_namespace_refs=self.no_cross_namespace_refs,
        )
