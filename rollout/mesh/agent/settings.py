"""What the agent is told by its container's environment, checked once at the start.

Names are Istio's where Istio has one. Must not know what Envoy makes of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from rollout import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMIN_PORT = 15000
OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
AGENT_PORT = 15020
READINESS_PORT = 15021
PROMETHEUS_PORT = 15090
PROXY_UID = 1337

STATS_PREFIXES = "PROXY_STATS_INCLUSION_PREFIXES"
CERTIFICATE_TTL = "SECRET_TTL"
"""How long a certificate is to hold (`24h`); unless it is set, the control plane says."""

ASKS = "ASKS_FOR_CLUSTERS"
"""Metadata of a node whose Envoy can ask for clusters when it first needs them."""

TAKES_HOSTS = "TAKES_VIRTUAL_HOSTS"
"""Metadata of a node whose Envoy takes virtual hosts one by one over ADS: only what has changed is sent."""

IDENTITY, IDENTITY_FILE = "default", "./identity.json"
ROOTS, ROOTS_FILE = "ROOTCA", "./roots.json"
TOKEN, TOKEN_FILE = "token", "./token.json"
"""Envoy's names for what proves who the proxy is and others are, and where it finds them: relative to its directory."""

MUTUAL_TLS, NO_TLS = "MUTUAL_TLS", "NONE"

SIDECAR = "sidecar"
ROUTER = "router"


class SettingsError(ValueError):
    """A variable that is missing or makes no sense; the text names it and the remedy."""


class Settings(NamedTuple):
    """One proxy's identity and limits. A NamedTuple, since dataclasses would import half the library."""

    proxy_type: str
    pod_name: str
    namespace: str
    instance_ips: tuple[str, ...]
    service_account: str
    discovery_address: str
    workload_name: str = ""
    owner: str = ""
    app_containers: str = ""
    cluster_id: str = "Kubernetes"
    mesh_id: str = "cluster.local"
    domain: str = "cluster.local"
    version: str = __version__
    node_name: str = ""
    concurrency: int = 2
    log_level: str = "warning"
    drain_seconds: float = 5.0
    envoy: str = "envoy"
    config_dir: str = "/etc/istio/proxy"
    labels_file: str = "/etc/istio/pod/labels"
    app_probes: str = ""
    app_metrics: str = ""
    stats_prefixes: tuple[str, ...] = ()
    secured: bool = False
    token_file: str = "/var/run/secrets/tokens/istio-token"  # noqa: S105 - a path
    roots_file: str = "/var/run/secrets/istio/root-cert.pem"
    certificate_seconds: int = 0


def from_environment(proxy_type: str, env: Mapping[str, str]) -> Settings:
    """Read the settings; `SettingsError` names the first variable that is wrong."""
    if proxy_type not in (SIDECAR, ROUTER):
        raise SettingsError(f"proxy type {proxy_type!r}: must be {SIDECAR} or {ROUTER}")
    policy = env.get("CONTROL_PLANE_AUTH_POLICY") or MUTUAL_TLS
    if policy not in (MUTUAL_TLS, NO_TLS):
        raise SettingsError(
            f"CONTROL_PLANE_AUTH_POLICY={policy!r}: must be {MUTUAL_TLS} or {NO_TLS}"
        )
    ips = env.get("INSTANCE_IPS") or env.get("INSTANCE_IP") or ""
    return Settings(
        proxy_type=proxy_type,
        pod_name=_required(env, "POD_NAME"),
        namespace=_required(env, "POD_NAMESPACE"),
        instance_ips=tuple(ip.strip() for ip in ips.split(",") if ip.strip()) or _no("INSTANCE_IP"),
        service_account=env.get("SERVICE_ACCOUNT", "default"),
        discovery_address=_required(env, "DISCOVERY_ADDRESS"),
        workload_name=env.get("ISTIO_META_WORKLOAD_NAME", ""),
        owner=env.get("ISTIO_META_OWNER", ""),
        app_containers=env.get("ISTIO_META_APP_CONTAINERS", ""),
        cluster_id=env.get("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        mesh_id=env.get("ISTIO_META_MESH_ID", "cluster.local"),
        domain=env.get("CLUSTER_DOMAIN", "cluster.local"),
        node_name=env.get("ISTIO_META_NODE_NAME", ""),
        concurrency=int(_number(env, "PROXY_CONCURRENCY", 2)),
        log_level=env.get("PROXY_LOG_LEVEL", "warning"),
        drain_seconds=_number(env, "TERMINATION_DRAIN_SECONDS", 5),
        envoy=env.get("ENVOY_BINARY", "envoy"),
        config_dir=env.get("PROXY_CONFIG_DIR", "/etc/istio/proxy"),
        labels_file=env.get("POD_LABELS_FILE", "/etc/istio/pod/labels"),
        app_probes=env.get("ISTIO_KUBE_APP_PROBERS", ""),
        app_metrics=env.get("ISTIO_PROMETHEUS_ANNOTATIONS", ""),
        secured=policy == MUTUAL_TLS,
        token_file=env.get("TOKEN_FILE", "/var/run/secrets/tokens/istio-token"),
        roots_file=env.get("ROOTS_FILE", "/var/run/secrets/istio/root-cert.pem"),
        certificate_seconds=seconds_of(CERTIFICATE_TTL, env.get(CERTIFICATE_TTL, "")),
        stats_prefixes=tuple(
            prefix.strip() for prefix in env.get(STATS_PREFIXES, "").split(",") if prefix.strip()
        ),
    )


def parse_labels(text: str) -> dict[str, str]:
    """The downward API's file of labels: one `key="value"` a line, the value quoted as Go quotes."""
    labels = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            labels[key.strip()] = value.strip().removeprefix('"').removesuffix('"')
    return labels


def seconds_of(name: str, text: str) -> int:
    """A duration such as `1h30m`, 0 where there is none; `SettingsError` names the variable."""
    parts = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", text)
    if parts is None:
        raise SettingsError(f"{name}={text!r}: must be hours, minutes and seconds, such as 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return 3600 * hours + 60 * minutes + seconds


def _required(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or _no(name)


def _no(name: str) -> NoReturn:
    raise SettingsError(
        f"{name} is not set: the container was not made by the injector or the chart; "
        "set it from the downward API"
    )


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "")
    try:
        value = float(text) if text else float(default)
    except ValueError:
        value = -1
    if not 0 <= value < 3600:
        raise SettingsError(f"{name}={text!r}: must be a number from 0 to 3600")
    return value
