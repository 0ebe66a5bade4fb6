"""`rollout analyze`: what is wrong or likely not meant with the mesh's objects, in a cluster or in files before they get there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.cli.connecting import (
    SYSTEM,
    Context,
    Everywhere,
    Kubeconfig,
    Namespace,
    SystemNamespace,
    connected_in,
)
from rollout.cli.printing import Output, OutputOption, columns, out


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(analyze)


def analyze(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="YAML files that would be applied; taken together with the cluster."),
    ] = None,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    cluster: Annotated[
        bool, typer.Option("--use-kube/--no-use-kube", help="Whether to look at the cluster too.")
    ] = True,
    system: SystemNamespace = SYSTEM,
    output: OutputOption = Output.TEXT,
) -> None:
    """Find what is wrong with the mesh's objects; exit code 1 where requests fail for it, 0 for mere hints."""
    from rollout.cli import objects
    from rollout.kube.client import Client
    from rollout.mesh.analysis.analyze import analyze as analyzed
    from rollout.mesh.analysis.finding import Level

    given = [obj for path in files or () for obj in objects.of_file(path)]

    async def work(client: Client, where: str) -> tuple[list[objects.Json], str]:
        return await objects.of_cluster(client), where

    served, where = (
        connected_in(namespace, kubeconfig, context, work) if cluster else ([], namespace)
    )
    found = analyzed(objects.laid_over(given, served, where or "default"), system)
    if where and not everywhere:
        found = [each for each in found if where in {each.ref.namespace, each.ref.name}]
    table = columns("LEVEL", "CODE", "OBJECT", "WHAT", elastic="WHAT")
    for each in found:
        what = f"{each.field}: {each.reason}" if each.field else each.reason
        level, code = each.code.level.value, each.code.id
        table.add_row(level, code, str(each.ref), f"{what} ({each.remedy})")
    data = [
        {"level": each.code.level.value, "code": each.code.id, "object": str(each.ref),
         "field": each.field, "reason": each.reason, "remedy": each.remedy}
        for each in found
    ]  # fmt: skip
    place = "all namespaces" if everywhere or not where else f"namespace {where}"
    out(table if found else f"nothing found in {place}", data, output)
    raise typer.Exit(int(any(each.code.level is Level.ERROR for each in found)))
