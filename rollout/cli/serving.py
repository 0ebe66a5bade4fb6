"""`controller`, `mesh`, `loadtester` and `agent`: what the pods run. Flags of the controller are named as Flagger's."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api.durations import parse_go_duration
from rollout.cli import logging
from rollout.install.errors import InstallError

if TYPE_CHECKING:
    from rollout.api.istio.meshconfig import MeshConfig
    from rollout.mesh.identity.authority import Lifetimes

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


class Outbound(StrEnum):
    """What becomes of requests to hosts that nobody declared."""

    ALLOW_ANY = "ALLOW_ANY"
    REGISTRY_ONLY = "REGISTRY_ONLY"


class Provider(StrEnum):
    """Who routes the traffic."""

    ISTIO = "istio"
    GATEWAY_API = "gatewayapi:v1"
    KUBERNETES = "kubernetes"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(controller)
    app.command()(mesh)
    app.command()(loadtester)
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
        str,
        typer.Option(
            help="Copy labels with these prefixes to the primary; * means all, empty none."
        ),
    ] = "",
    enable_config_tracking: Annotated[
        str,
        typer.Option(help="true or false: follow and copy the target's ConfigMaps and Secrets."),
    ] = "true",
    enable_chaos: Annotated[
        str, typer.Option(help="true or false: run ChaosExperiments, too.")
    ] = "true",
    cluster_name: Annotated[str, typer.Option(help="Told to alerts.")] = "",
    event_webhook: Annotated[
        str,
        typer.Option(envvar="EVENT_WEBHOOK_URL", help="Tell events of Canaries without own hooks."),
    ] = "",
    slack_url: Annotated[str, typer.Option(envvar="SLACK_URL", help="Alert this Slack hook.")] = "",
    slack_token: Annotated[
        str, typer.Option(envvar="SLACK_TOKEN", help="Slack's token, for its API.")
    ] = "",
    slack_proxy_url: Annotated[
        str, typer.Option(envvar="SLACK_PROXY_URL", help="A proxy on the way to Slack.")
    ] = "",
    slack_user: Annotated[str, typer.Option(help="Who speaks in Slack.")] = "flagger",
    slack_channel: Annotated[str, typer.Option(help="Slack's channel.")] = "",
    msteams_url: Annotated[
        str, typer.Option(envvar="MSTEAMS_URL", help="Alert this Teams workflow.")
    ] = "",
    msteams_proxy_url: Annotated[
        str, typer.Option(envvar="MSTEAMS_PROXY_URL", help="A proxy on the way to Teams.")
    ] = "",
    no_cross_namespace_refs: Annotated[
        bool, typer.Option("--no-cross-namespace-refs", help="Use only objects of a Canary's own.")
    ] = False,
    enable_leader_election: Annotated[
        str, typer.Option(help="true or false: of several replicas, one acts at a time.")
    ] = "false",
    leader_election_namespace: Annotated[
        str, typer.Option(help="Where the leases are; empty means the process' own namespace.")
    ] = "",
    shards: Annotated[
        int,
        typer.Option(
            help="Spread namespaces over so many leases, which replicas share; implies election.",
            min=1,
            max=256,
        ),
    ] = 1,
    system_namespace: SystemNamespace = "rollout-system",
) -> None:
    """Run the controller: it brings Canaries to their end, and runs ChaosExperiments."""
    from rollout.delivery.alerts.routes import Chat
    from rollout.delivery.controller import run
    from rollout.delivery.options import Options

    logging.configure(log_level.value)
    slack = Chat(
        type="slack",
        address=slack_url,
        token=slack_token,
        username=slack_user,
        channel=slack_channel,
        proxy=slack_proxy_url,
    )
    teams = Chat(type="msteams", address=msteams_url, proxy=msteams_proxy_url)
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
        event_webhook=event_webhook,
        chats=tuple(chat for chat in (slack, teams) if chat.address),
        no_cross_namespace_refs=no_cross_namespace_refs,
        system_namespace=system_namespace,
        enable_leader_election=enable_leader_election.lower() != "false",
        leader_election_namespace=leader_election_namespace,
        shards=shards,
    )
    beside = []
    if enable_chaos.lower() != "false":
        from rollout.chaos.controller import Options as ChaosOptions
        from rollout.chaos.controller import chaos
        from rollout.kube.lease import identity

        beside.append(
            chaos(
                ChaosOptions(
                    identity=identity(),
                    system_namespace=system_namespace,
                    metrics_server=metrics_server,
                )
            )
        )
    asyncio.run(run(options, beside=beside))


def mesh(
    *,
    kubeconfig: Kubeconfig = None,
    log_level: LogLevel = Level.INFO,
    cluster_domain: Annotated[
        str, typer.Option(help="The cluster's DNS domain.")
    ] = "cluster.local",
    system_namespace: SystemNamespace = "rollout-system",
    credential_namespaces: Annotated[
        str, typer.Option(help="Where Secrets of gateways are read, separated by commas.")
    ] = "",
    outbound_traffic_policy: Annotated[
        Outbound, typer.Option(help="What becomes of requests to hosts that nobody declared.")
    ] = Outbound.ALLOW_ANY,
    on_demand: Annotated[
        str, typer.Option(help="true or false: tell sidecars clusters when they first need them.")
    ] = "false",
    auto_mtls: Annotated[
        str, typer.Option(help="true or false: proxies speak mutual TLS to each other.")
    ] = "true",
    workload_cert_ttl: Annotated[
        str, typer.Option(help="How long proxies' certificates hold where they ask for nothing.")
    ] = "24h",
    max_workload_cert_ttl: Annotated[
        str, typer.Option(help="How long they hold at most, whatever is asked for.")
    ] = "24h",
    mesh_config: Annotated[
        str,
        typer.Option(help="Istio's mesh configuration, as JSON: logs, spans and who takes them."),
    ] = "{}",
    xds_address: Annotated[
        str, typer.Option(help="Serve configuration to anybody here too, without TLS; empty: no.")
    ] = "",
    drain: Annotated[
        str,
        typer.Option(help="How long proxies are served on after SIGTERM, while others take over."),
    ] = "3s",
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
    from rollout.kube.election import Contest
    from rollout.kube.lease import identity
    from rollout.mesh.controlplane import Options, run
    from rollout.mesh.discovery import discovery_selectors
    from rollout.mesh.ingest.telemetry import mesh_telemetry
    from rollout.mesh.inject.config import InjectionConfig
    from rollout.mesh.model.peers import MutualTLS

    logging.configure(log_level.value)
    config = _mesh_config(mesh_config)
    injection = InjectionConfig(
        image=proxy_image,
        discovery_address=f"rollout-mesh.{system_namespace}.svc:15012",
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
        credential_namespaces=tuple(filter(None, credential_namespaces.split(","))),
        allow_any=outbound_traffic_policy is Outbound.ALLOW_ANY,
        on_demand=on_demand.lower() == "true",
        mutual_tls=MutualTLS.ON_REQUEST if auto_mtls.lower() == "false" else MutualTLS.AUTO,
        lifetimes=_lifetimes(workload_cert_ttl, max_workload_cert_ttl),
        telemetry=mesh_telemetry(config),
        contest=Contest(group="rollout-mesh", namespace=system_namespace, identity=identity()),
        pod=os.environ.get("POD_NAME", ""),
        drain=_duration("--drain", drain),
        discovery_selectors=discovery_selectors(config),
        certificate_address="[::]:15013",
        xds_address=xds_address,
        injection=injection,
    )
    asyncio.run(run(options))


def loadtester(
    *,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="A program that hooks may run, as name=/path; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option(help="The port of the API.")] = 8080,
    timeout: Annotated[str, typer.Option(help="How long a program may run.")] = "1h",
    namespace_regexp: Annotated[
        str, typer.Option(help="Serve only Canaries of namespaces that match; empty means all.")
    ] = "",
    log_level: LogLevel = Level.INFO,
) -> None:
    """Run the load tester: gates that people open, and programs that hooks start."""
    from rollout.loadtester.process import Options, run
    from rollout.loadtester.tasks import parse_allowed

    logging.configure(log_level.value)
    try:
        re.compile(namespace_regexp)
        allowed = parse_allowed(tuple(allow or ()))
    except re.error as error:
        raise InstallError(f"--namespace-regexp: {error}") from None
    except ValueError as error:
        raise InstallError(f"--allow: {error}") from None
    options = Options(
        allowed=allowed,
        port=port,
        timeout=_duration("--timeout", timeout),
        namespace_regexp=namespace_regexp,
    )
    asyncio.run(run(options))


def agent() -> None:
    """Run Envoy in a proxy container, or set its interception rules (see `rollout agent`)."""
    from rollout.mesh.agent.main import USAGE

    print(USAGE)
    raise typer.Exit(2)


def _mesh_config(text: str) -> MeshConfig:
    from rollout.api.errors import InvalidObject
    from rollout.api.istio.meshconfig import MeshConfig

    try:
        return MeshConfig.read(text)
    except InvalidObject as error:
        raise InstallError(f"--mesh-config: {error}") from None


def _lifetimes(usual: str, most: str) -> Lifetimes:
    from rollout.mesh.identity.authority import Lifetimes

    try:
        return Lifetimes(
            usual=_duration("--workload-cert-ttl", usual),
            most=_duration("--max-workload-cert-ttl", most),
        )
    except ValueError as error:
        raise InstallError(f"--workload-cert-ttl, --max-workload-cert-ttl: {error}") from None


def _duration(flag: str, text: str) -> timedelta:
    try:
        return parse_go_duration(text)
    except ValueError as error:
        raise InstallError(f"{flag} {text}: {error}") from error


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
