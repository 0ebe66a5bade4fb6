"""`install`, `uninstall`, `check`, `version`: what is run from somebody's own machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from rollout import __version__
from rollout.cli.connecting import SYSTEM, Context, Kubeconfig, connected

Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Where rollout itself runs.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for what was asked.", min=1)]

T = TypeVar("T")


class Mesh(StrEnum):
    """Which mesh the controller drives."""

    BUNDLED = "bundled"
    EXISTING = "existing"
    NONE = "none"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(install)
    app.command()(uninstall)
    app.command()(check)
    app.command()(version)


def install(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = SYSTEM,
    mesh: Annotated[
        Mesh | None, typer.Option(help="bundled, existing (an Istio that is there) or none.")
    ] = None,
    image: Annotated[str, typer.Option(help="The image of rollout, as the cluster pulls it.")] = "",
    values: Annotated[
        list[Path] | None, typer.Option("--values", "-f", help="A file of the chart's values.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A value of the chart: path.to.value=something."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until everything runs.")] = True,
    timeout: Timeout = 180,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be applied, and apply nothing.")
    ] = False,
) -> None:
    """Install rollout, or bring an installation to these values and this version. Safe to run again."""
    from rollout.install import chart, installer, neighbours
    from rollout.install.values import Values, merge, parse_set
    from rollout.kube.client import Client

    overrides: Values = {}
    for path in values or ():
        overrides = merge(overrides, chart.load_values(path))
    for text in set_ or ():
        overrides = merge(overrides, parse_set(text))
    if image:
        overrides = merge(overrides, {"image": image})
    if mesh:
        overrides = merge(overrides, {"mesh": {"mode": mesh.value}})
    rendered = chart.render(namespace, overrides)
    if dry_run:
        print(chart.dump(rendered), end="")
        return

    async def work(client: Client) -> None:
        await neighbours.refuse_if_unfit(client, rendered.mesh_mode)
        summary = await installer.install(client, rendered, say=print)
        print(
            f"{len(summary.created)} objects created, {len(summary.changed)} changed, "
            f"{len(summary.unchanged)} as they were, {len(summary.pruned)} removed"
        )
        if wait:
            await installer.wait(client, rendered, timeout=timeout, say=print)
            print(f"rollout {__version__} is ready in namespace {namespace}")

    connected(kubeconfig, context, work)


def uninstall(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = SYSTEM,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the CRDs too, and with them every Canary.")
    ] = False,
    timeout: Timeout = 120,
) -> None:
    """Remove what `install` made. Canaries and their workloads stay, unless --purge is given."""
    from rollout.install import uninstall as removal
    from rollout.kube.client import Client

    async def work(client: Client) -> None:
        removed = await removal.uninstall(
            client, namespace, purge=purge, timeout=timeout, say=print
        )
        print(
            f"{removed} objects removed"
            if removed
            else "nothing to remove: rollout is not installed"
        )

    connected(kubeconfig, context, work)


def check(
    *, kubeconfig: Kubeconfig = None, context: Context = None, namespace: Namespace = SYSTEM
) -> None:
    """Look at the cluster and the installation, and say what is not well and what to do. Exit code 1 if anything."""
    from rollout.install import check as checking
    from rollout.kube.client import Client

    async def work(client: Client) -> bool:
        well = True
        async for finding in checking.check(client, namespace):
            well &= finding.ok
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            print(f"{'ok  ' if finding.ok else 'FAIL'} {finding.subject}: {finding.detail}{remedy}")
        return well

    if not connected(kubeconfig, context, work):
        raise typer.Exit(1)


def version(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = SYSTEM,
    client_only: Annotated[
        bool, typer.Option("--client", help="Only this program's version.")
    ] = False,
) -> None:
    """Say the version of this program, and of what is installed."""
    from rollout.api.kinds import DEPLOYMENT
    from rollout.install.inventory import VERSION
    from rollout.kube.client import Client
    from rollout.kube.objects import labels_of

    print(f"rollout {__version__}")
    if client_only:
        return

    async def work(client: Client) -> None:
        found = await client.list(DEPLOYMENT, namespace, "app.kubernetes.io/part-of=rollout")
        for deployment in found:
            print(
                f"{deployment['metadata']['name']} {labels_of(deployment).get(VERSION, 'unknown')}"
            )
        if not found:
            print(f"nothing is installed in namespace {namespace}")

    connected(kubeconfig, context, work)
