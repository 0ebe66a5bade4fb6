"""Configuration of the node's own programs, pure: containerd, the pod network, kubelet, kube-proxy.

Paths are as the processes inside the cluster see them.
"""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster import layout, pki
from e2e.cluster.packages import CNI_PLUGINS

PAUSE_IMAGE = "localhost/rollout/pause:1"
MAX_PODS = 250
VOLUME_PLUGINS = Path("/var/lib/kubelet/volumeplugins")


def containerd() -> list[str]:
    return [
        "containerd",
        "--config",
        str(layout.IN_HOME / "containerd.toml"),
        "--log-level",
        "warn",
    ]


def kubelet() -> list[str]:
    return [
        "kubelet",
        f"--config={layout.IN_HOME / 'kubelet.json'}",
        f"--kubeconfig={layout.IN_HOME / 'kubelet.kubeconfig'}",
        f"--hostname-override={layout.NODE}",
        f"--node-ip={layout.NODE_ADDRESS}",
        "--housekeeping-interval=30s",
    ]


def proxy() -> list[str]:
    return ["kube-proxy", f"--config={layout.IN_HOME / 'kube-proxy.json'}"]


def files() -> dict[str, str]:
    """The configuration files below the launcher's home, by their paths there."""
    return {
        "containerd.toml": _CONTAINERD,
        "cni/10-rollout.conflist": json.dumps(_NETWORK, indent=2),
        "kubelet.json": json.dumps(_KUBELET, indent=2),
        "kube-proxy.json": json.dumps(_PROXY, indent=2),
    }


# A machine that is itself confined may not lower a process's OOM score: restrict_oom_score_adj.
_CONTAINERD = f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{layout.CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{layout.IN_HOME}/cni"
"""

# Point-to-point links rather than a bridge: pods of one node reach each other through services without
# the kernel's bridge filter, and an answer always passes where it was translated.
_NETWORK = {
    "cniVersion": "0.4.0",
    "name": "rollout",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": False,
            "mtu": 1500,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/rollout/addresses",
                "ranges": [[{"subnet": layout.POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    ],
}

_KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": str(layout.IN_PKI / "ca.crt")},
    },
    "authorization": {"mode": "Webhook"},
    "tlsCertFile": str(layout.IN_PKI / "node.crt"),
    "tlsPrivateKeyFile": str(layout.IN_PKI / "node.key"),
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{layout.CGROUP}",
    "failCgroupV1": False,
    "failSwapOn": False,
    "localStorageCapacityIsolation": False,
    "enforceNodeAllocatable": ["none"],
    "evictionHard": {
        "memory.available": "50Mi",
        "nodefs.available": "0%",
        "nodefs.inodesFree": "0%",
        "imagefs.available": "0%",
        "imagefs.inodesFree": "0%",
    },
    # There is no registry to fetch an image from again.
    "imageGCHighThresholdPercent": 100,
    "serializeImagePulls": False,
    "maxPods": MAX_PODS,
    "clusterDNS": [layout.DNS_ADDRESS],
    "clusterDomain": layout.DOMAIN,
    "resolvConf": "",
    "podLogsDir": "/var/log/pods",
    "volumePluginDir": str(VOLUME_PLUGINS),
    "healthzPort": 0,
    "makeIPTablesUtilChains": False,
    "kubeAPIQPS": 200,
    "kubeAPIBurst": 400,
    "nodeStatusReportFrequency": "1m",
    "shutdownGracePeriod": "0s",
}

_PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "nftables",
    "clientConnection": {"kubeconfig": str(layout.IN_HOME / f"{pki.PROXY.file}.kubeconfig")},
    "clusterCIDR": layout.POD_RANGE,
    "hostnameOverride": layout.NODE,
    "healthzBindAddress": "127.0.0.1:10256",
    "metricsBindAddress": "127.0.0.1:10249",
    "nftables": {"minSyncPeriod": "100ms", "masqueradeAll": False},
    "conntrack": {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    },
}
