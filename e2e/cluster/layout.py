"""Where the cluster's files are and which addresses it uses: names only, nothing is touched here.

Two views of the same files: `Layout` as the machine sees them, the `IN_*` constants as the processes
inside the cluster's mount namespace do, where /var/lib and /var/log are directories of the cluster.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "1.36.3"
NODE = "rollout"
DOMAIN = "cluster.local"

NETWORK = "10.211.0.0/16"
POD_RANGE = "10.211.0.0/18"
SERVICE_RANGE = "10.211.64.0/18"
SERVICE_ADDRESS = "10.211.64.1"
DNS_ADDRESS = "10.211.64.10"
NODE_ADDRESS = "10.211.255.1"
HOST_ADDRESS = "10.211.255.2"
API_PORT = 6443
GATEWAY_PORT = 8080

LINK = "rollout0"
CGROUP = "rollout-cluster"
NFT_TABLE = "rollout_cluster"

IN_BINARY = "/run/rollout/kubernetes-node"
IN_HOME = Path("/var/lib/rollout")
IN_PKI = IN_HOME / "pki"
IN_AUDIT = Path("/var/log/audit.log")
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

SOURCES = Path(__file__).resolve().parent
ROOT = SOURCES.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The files of one cluster below its directory."""

    directory: Path

    @property
    def lib(self) -> Path:
        """What the cluster sees as /var/lib."""
        return self.directory / "lib"

    @property
    def logs(self) -> Path:
        """What the cluster sees as /var/log: one file a process, audit.log, and pods/ below it."""
        return self.directory / "logs"

    @property
    def home(self) -> Path:
        """The launcher's own configuration files, /var/lib/rollout inside."""
        return self.lib / "rollout"

    @property
    def pki(self) -> Path:
        return self.home / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def state(self) -> Path:
        return self.directory / "state.json"

    @property
    def loaded(self) -> Path:
        """Digests of the image archives that this cluster has."""
        return self.directory / "loaded.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def cache() -> Path:
    """What is built once and kept for all checkouts: binaries, base file systems, wheels."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "rollout"
