"""`rollout migrate check`: thin, as all commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from rollout.cli.connecting import Context, Everywhere, Kubeconfig, Namespace, connected_in
from rollout.cli.printing import Output, OutputOption

app = typer.Typer(help="Move a cluster from Flagger to rollout.", no_args_is_help=True)


@app.callback()
def migrate() -> None:
    """Move a cluster from Flagger to rollout."""


@app.command()
def check(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    mesh_provider: Annotated[
        str, typer.Option(help="The provider of Canaries that name none; else Flagger's flag.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Say what would become of every Canary of Flagger's, and change nothing.

    Exit code 0: nothing to do. 1: something is done otherwise, or to be done before. 2: something would be refused.
    """
    from rollout.cli.migrate import reading, render
    from rollout.cli.printing import out, quiet
    from rollout.kube.client import Client

    quiet()

    async def work(client: Client, where: str) -> reading.Report:
        within = None if everywhere else where
        return await reading.check(client, within, mesh_provider, datetime.now(UTC))

    report = connected_in(namespace, kubeconfig, context, work)
    out(render.text(report), render.data(report), output)
    raise typer.Exit(report.exit_code)
