"""`chaos run`, `list`, `get`, `status`, `stop`, `halt`, `resume`, `report` and `lint`: thin, as all commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.canary.commands import lint
from rollout.cli.connecting import (
    SYSTEM,
    Context,
    Everywhere,
    Kubeconfig,
    Namespace,
    SystemNamespace,
    connected,
    connected_in,
)
from rollout.cli.errors import CommandFailed
from rollout.cli.printing import Output, OutputOption, text_only

if TYPE_CHECKING:
    from rollout.kube.client import Client

Name = Annotated[str, typer.Argument(help="The ChaosExperiment.")]
Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Go on showing what changes, until Ctrl-C.")
]
Wait = Annotated[float, typer.Option(help="Seconds to wait until it is over.", min=0)]

_SPARE_SECONDS = 120.0


class ReportOutput(StrEnum):
    """How a report is written."""

    TEXT = "text"
    HTML = "html"
    JSON = "json"
    YAML = "yaml"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(
        help="Break things on purpose, and see whether it holds.", no_args_is_help=True
    )
    group.command()(run)
    group.command("list")(list_)
    for command in (get, status, stop, halt, resume, report, lint):
        group.command()(command)
    app.add_typer(group, name="chaos")


def run(
    file: Annotated[Path, typer.Argument(help="A file with one ChaosExperiment.")],
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow the run; its verdict is the exit code.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            help="With --watch: seconds to wait for its end; else its duration and two minutes.",
            min=0,
        ),
    ] = 0,
) -> None:
    """Run an experiment, again if it ran before.

    With --watch exit code 0 Pass, 1 Fail, 3 not over, 4 Stopped or Error, 5 held: it waits for somebody to do something.
    """
    from rollout.cli.chaos import asking, showing
    from rollout.cli.chaos.view import view

    try:
        text = file.read_text()
    except (OSError, ValueError) as error:
        raise CommandFailed(f"cannot read {file}: {error}") from error

    async def work(client: Client, where: str) -> int:
        experiment = asking.load(file, text, where)
        found = view(experiment)
        before = await asking.begin(client, experiment)
        if not watch:
            print(
                f"{found.namespace}/{found.name} begins;"
                f" `rollout chaos get {found.name} -n {found.namespace} -w` follows it"
            )
            return 0
        seconds = timeout or found.duration.total_seconds() + _SPARE_SECONDS
        return await showing.wait(client, found.namespace, found.name, seconds, after_run=before)

    raise typer.Exit(connected_in(namespace, kubeconfig, context, work))


def list_(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    watch: Watch = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the experiments: phase, verdict, fault, time left and evidence."""
    from rollout.cli.chaos import showing

    text_only("chaos", output, watch=watch)

    async def work(client: Client, where: str) -> None:
        if watch:
            await showing.follow_all(client, None if everywhere else where)
        else:
            await showing.show_all(client, None if everywhere else where, output.value)

    connected_in(namespace, kubeconfig, context, work)


def get(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    watch: Watch = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one experiment with its probes."""
    from rollout.cli.chaos import showing

    text_only("chaos", output, watch=watch)

    async def work(client: Client, where: str) -> None:
        if watch:
            await showing.follow(client, where, name)
        else:
            await showing.show(client, where, name, output.value)

    connected_in(namespace, kubeconfig, context, work)


def status(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    timeout: Wait = 600,
) -> None:
    """Wait for the end of the run. Exit code 0 Pass, 1 Fail, 3 not over in time, 4 Stopped or Error, 5 held."""
    from rollout.cli.chaos import showing

    async def work(client: Client, where: str) -> int:
        return await showing.wait(client, where, name, timeout)

    raise typer.Exit(connected_in(namespace, kubeconfig, context, work))


def stop(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    wait: Wait = 30,
) -> None:
    """End the run of an experiment now, and keep its schedule from beginning another."""
    from rollout.cli.chaos import asking

    async def work(client: Client, where: str) -> None:
        print(await asking.stop(client, where, name, seconds=wait))

    connected_in(namespace, kubeconfig, context, work)


def halt(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Yes, all experiments of the cluster.")
    ] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    system_namespace: SystemNamespace = SYSTEM,
    wait: Wait = 30,
) -> None:
    """End every run in the cluster now, and let none begin before `resume`."""
    from rollout.cli.chaos import asking

    if not everything:
        raise typer.BadParameter("it halts all experiments: say so with --all")

    async def work(client: Client) -> None:
        print(await asking.halt(client, system_namespace, halted=True, seconds=wait))

    connected(kubeconfig, context, work)


def resume(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    system_namespace: SystemNamespace = SYSTEM,
) -> None:
    """Let experiments run again after `halt --all`."""
    from rollout.cli.chaos import asking

    async def work(client: Client) -> None:
        print(await asking.halt(client, system_namespace, halted=False, seconds=0))

    connected(kubeconfig, context, work)


def report(
    name: Annotated[
        str, typer.Argument(help="The ChaosExperiment, whose last run it is; or a ChaosReport.")
    ],
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    output: Annotated[
        ReportOutput, typer.Option("--output", "-o", help="text, html, json or yaml.")
    ] = ReportOutput.TEXT,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write it there.")] = None,
) -> None:
    """Show what a run came to; `-o html` is a page that needs nothing else."""
    from rollout.cli.chaos import showing

    async def work(client: Client, where: str) -> str:
        return await showing.report(client, where, name, output.value)

    text = connected_in(namespace, kubeconfig, context, work)
    if file is None:
        print(text, end="")
        return
    try:
        file.write_text(text)
    except OSError as error:
        raise CommandFailed(f"cannot write {file}: {error}") from error
    print(f"written to {file}")
