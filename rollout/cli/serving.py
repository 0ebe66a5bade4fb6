"""`controller`, `mesh` and `agent`: what the pods run. Flags of the controller are named as Flagger's."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from rollout.api.durations import parse_go_duration
from rollout.cli import logging
from rollout.install.errors import InstallError

Kubeconfig = Annotated[
    str | None, typer.Option(help="The kubeconfig file; in a pod its service account is used.")
]
SystemNamespace = Annotated[
    str, typer.Option(envvar="POD_NAMESPACE", help="The namespace that this process runs in.")
]


class Level(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


LogLevel = Annotated[Level, typer.Option(help="The least important records to log.")]


class Provider(StrEnum):
    """Who routes the traffic."""

    ISTIO = "istio"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(controller)
    app.command()(mesh)
    app.command(
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, hidden=True
    )(agent)


def controller(
    *,
    kubeconfig: Kubeconfig = None,
    metrics_server: Annotated[
        str, typer.Option(help="Prometheus' address.")
    ] = "http://prometheus:9090",
    mesh_provider: Annotated[Provider, typer.Option(help="Who routes.")] = Provider.ISTIO,
    minimum_interval: Annotated[
        str, typer.Option(help="The shortest time between two steps of an analysis, such as 10s.")
    ] = "10s",
    log_level: LogLevel = Level.INFO,
    port: Annotated[int, typer.Option(help="The port of /metrics, /healthz and /readyz.")] = 8080,
    webhook_port: Annotated[int, typer.Option(help="The port of the admission webhook.")] = 9443,
    namespace: Annotated[
        str, typer.Option(help="Watch the Canaries of this namespace only; empty means all.")
    ] = "",
    selector_labels: Annotated[
        str, typer.Option(help="Labels that select a target's pods, the first that it has counts.")
    ] = "app,name,app.kubernetes.io/name",
    include_label_prefix: Annotated[
        str, typer.Option(help="Copy labels with these prefixes to the primary; empty means all.")
    ] = "",
    enable_config_tracking: Annotated[
        str,
        typer.Option(help="true or false: follow and copy the target's ConfigMaps and Secrets."),
    ] = "true",
    cluster_name: Annotated[str, typer.Option(help="Told to alerts and hooks.")] = "",
    system_namespace: SystemNamespace = "rollout-system",
) -> None:
    """Run the controller: it brings Canaries to their end."""
    from rollout.delivery.controller import Options, run

    logging.configure(log_level.value)
    options = Options(
        kubeconfig=kubeconfig,
        metrics_server=metrics_server,
        mesh_provider=mesh_provider.value,
        minimum_interval=_duration("--minimum-interval", minimum_interval),
        port=port,
        webhook_port=webhook_port,
        namespace=namespace,
        selector_labels=_items(selector_labels),
        include_label_prefix=_items(include_label_prefix),
        enable_config_tracking=enable_config_tracking.lower() != "false",
        cluster_name=cluster_name,
        system_namespace=system_namespace,
    )
    asyncio.run(run(options))


def mesh(
    *,
    kubeconfig: Kubeconfig = None,
    log_level: LogLevel = Level.INFO,
    cluster_domain: Annotated[
        str, typer.Option(help="The cluster's DNS domain.")
    ] = "cluster.local",
    system_namespace: SystemNamespace = "rollout-system",
    proxy_image: Annotated[str, typer.Option(help="The image of injected proxies.")] = "",
    proxy_image_pull_policy: Annotated[str, typer.Option()] = "IfNotPresent",
    proxy_concurrency: Annotated[int, typer.Option(help="Envoy's worker threads.")] = 2,
    proxy_log_level: Annotated[str, typer.Option()] = "warning",
    proxy_drain_seconds: Annotated[int, typer.Option()] = 5,
    proxy_cpu_request: Annotated[str, typer.Option()] = "10m",
    proxy_memory_request: Annotated[str, typer.Option()] = "80Mi",
    proxy_cpu_limit: Annotated[str, typer.Option()] = "",
    proxy_memory_limit: Annotated[str, typer.Option()] = "512Mi",
) -> None:
    """Run the mesh's control plane: it tells the proxies what to do, and gives pods theirs."""
    from rollout.mesh.controlplane import Options, run
    from rollout.mesh.inject.config import InjectionConfig

    logging.configure(log_level.value)
    injection = InjectionConfig(
        image=proxy_image,
        discovery_address=f"rollout-mesh.{system_namespace}.svc:15010",
        image_pull_policy=proxy_image_pull_policy,
        concurrency=proxy_concurrency,
        log_level=proxy_log_level,
        drain_seconds=proxy_drain_seconds,
        cluster_domain=cluster_domain,
        cpu_request=proxy_cpu_request,
        memory_request=proxy_memory_request,
        cpu_limit=proxy_cpu_limit,
        memory_limit=proxy_memory_limit,
    )
    options = Options(
        kubeconfig=kubeconfig,
        cluster_domain=cluster_domain,
        system_namespace=system_namespace,
        injection=injection,
    )
    asyncio.run(run(options))


def agent() -> None:
    """Run Envoy in a proxy container, or set its interception rules (see `rollout agent`)."""
    from rollout.mesh.agent.main import USAGE

    print(USAGE)
    raise typer.Exit(2)


def _duration(flag: str, text: str) -> timedelta:
    try:
        return parse_go_duration(text)
    except ValueError as error:
        raise InstallError(f"{flag} {text}: {error}") from error


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
