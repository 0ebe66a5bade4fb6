"""`rollout proxy status|config|log`: thin, as all commands; the words are istioctl's where it has the same."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rollout.cli.connecting import (
    SYSTEM,
    Context,
    Kubeconfig,
    Namespace,
    SystemNamespace,
    connected_in,
)
from rollout.cli.printing import Output, OutputOption

Pod = Annotated[str, typer.Argument(help="The proxy's pod, or POD.NAMESPACE.")]

app = typer.Typer(
    help="Look into proxies: what they have, what they should have, how much they log.",
    no_args_is_help=True,
)


class Section(StrEnum):
    """What a proxy can be asked for."""

    CLUSTERS = "clusters"
    LISTENERS = "listeners"
    ROUTES = "routes"
    ENDPOINTS = "endpoints"
    SECRETS = "secrets"
    BOOTSTRAP = "bootstrap"
    ALL = "all"


@app.command()
def status(
    pod: Annotated[
        str, typer.Argument(help="Compare this pod's (or POD.NAMESPACE); without it, list all.")
    ] = "",
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    system: SystemNamespace = SYSTEM,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the connected proxies and whether they have what they should; of one, name what differs (exit code 1)."""
    from rollout.cli.proxy import showing
    from rollout.kube.client import Client

    name, namespace = _placed(pod, namespace)

    async def work(client: Client, where: str) -> int:
        if pod:
            return await showing.compare(client, system, where, name, output)
        await showing.connected(client, system, output)
        return 0

    raise typer.Exit(connected_in(namespace, kubeconfig, context, work))


@app.command()
def config(
    section: Annotated[Section, typer.Argument(help="Which part of it.")],
    pod: Pod,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    match: Annotated[
        list[str] | None,
        typer.Option(help="Only rows that contain this; may be given several times."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what a proxy has now, as Envoy itself says."""
    from rollout.cli.proxy import showing
    from rollout.kube.client import Client

    name, namespace = _placed(pod, namespace)

    async def work(client: Client, where: str) -> None:
        await showing.configuration(client, where, name, section, match or (), output)

    connected_in(namespace, kubeconfig, context, work)


@app.command()
def log(
    pod: Pod,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    level: Annotated[
        str,
        typer.Option(
            help="A level for all, or LOGGER:LEVEL of some: info, or http:debug,router:trace."
        ),
    ] = "",
) -> None:
    """Show the levels at which a proxy logs, or change them until it restarts."""
    from rollout.cli.proxy import showing
    from rollout.kube.client import Client

    name, namespace = _placed(pod, namespace)

    async def work(client: Client, where: str) -> None:
        await showing.logging(client, where, name, level)

    connected_in(namespace, kubeconfig, context, work)


def _placed(pod: str, namespace: str) -> tuple[str, str]:
    """Name and namespace of a pod as `status` lists it, unless the namespace is named apart."""
    name, dot, where = pod.rpartition(".")
    return (name, where) if dot and not namespace else (pod, namespace)
