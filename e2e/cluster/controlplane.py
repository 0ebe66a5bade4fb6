"""Command lines and configuration of the control plane, pure: for the full cluster and for tests alike.

What costs CPU on an idle small machine and serves nobody (leader election of one, profiling) is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import pki
from e2e.cluster.layout import DOMAIN

ISSUER = f"https://kubernetes.default.svc.{DOMAIN}"

# Only the cluster's own machinery is left out of the audit log: what is in it is what somebody's
# program asked, one ResponseComplete a request (and a ResponseStarted for a watch).
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"]
  - level: None
    userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]
  - level: None
    nonResourceURLs: ["/readyz*", "/livez*", "/healthz*", "/metrics"]
  - level: Metadata
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServerSettings:
    """Where one API server listens and finds its files (as the process sees them)."""

    etcd: Path
    pki: Path
    address: str
    port: int
    service_range: str
    audit_policy: Path
    audit_log: Path


def etcd(*, data: Path, socket: Path) -> list[str]:
    """One member behind a Unix socket. Losing power may lose data: this is a throw-away store."""
    return [
        "etcd",
        f"--data-dir={data}",
        f"--listen-client-urls=unix://{socket}",
        f"--listen-peer-urls=unix://{socket}.peer",
        "--advertise-client-urls=http://127.0.0.1:2379",  # it wants one that is not a socket; nobody dials it
        "--unsafe-no-fsync",
        "--log-level=warn",
        "--auto-compaction-retention=10m",
        "--quota-backend-bytes=4294967296",
    ]


def apiserver(settings: ApiServerSettings) -> list[str]:
    files = settings.pki
    return [
        "kube-apiserver",
        f"--etcd-servers=unix://{settings.etcd}",
        f"--advertise-address={settings.address}",
        f"--bind-address={settings.address}",
        f"--secure-port={settings.port}",
        f"--service-cluster-ip-range={settings.service_range}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={files / 'ca.crt'}",
        f"--tls-cert-file={files / 'apiserver.crt'}",
        f"--tls-private-key-file={files / 'apiserver.key'}",
        f"--kubelet-certificate-authority={files / 'ca.crt'}",
        f"--kubelet-client-certificate={files / pki.API_SERVER_AS_CLIENT.file}.crt",
        f"--kubelet-client-key={files / pki.API_SERVER_AS_CLIENT.file}.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={files / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={files / 'service-accounts.key'}",
        f"--audit-policy-file={settings.audit_policy}",
        f"--audit-log-path={settings.audit_log}",
        "--audit-log-maxsize=200",
        "--audit-log-maxbackup=1",
        "--profiling=false",
        "--allow-privileged=true",
        "--shutdown-delay-duration=0s",
        "--default-unreachable-toleration-seconds=30",
        "--default-not-ready-toleration-seconds=30",
    ]


def controller_manager(*, files: Path, kubeconfig: Path, volume_plugins: Path) -> list[str]:
    """It makes the directory `volume_plugins`, which nothing here fills."""
    return [
        "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--root-ca-file={files / 'ca.crt'}",
        f"--service-account-private-key-file={files / 'service-accounts.key'}",
        f"--cluster-signing-cert-file={files / 'ca.crt'}",
        f"--cluster-signing-key-file={files / 'ca.key'}",
        f"--flex-volume-plugin-dir={volume_plugins}",
        "--use-service-account-credentials",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]


def scheduler(*, kubeconfig: Path) -> list[str]:
    return [
        "kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]


def issue(
    authority: pki.Authority, *, apiserver_names: tuple[str, ...], node: str | None = None
) -> None:
    """Every certificate and key that the command lines above name; a node's too if there is one."""
    authority.server(
        "apiserver",
        (
            *apiserver_names,
            "127.0.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DOMAIN}",
        ),
    )
    authority.signing_key("service-accounts")
    for identity in (pki.ADMIN, pki.API_SERVER_AS_CLIENT, pki.CONTROLLER_MANAGER, pki.SCHEDULER):
        authority.client(identity)
    if node:
        authority.client(pki.kubelet(node))
        authority.client(pki.PROXY)
