"""`get`, `status`, `promote` and the others about canaries, for `rollout` and for `kubectl canary`: thin, as all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.cli.connecting import Context, Everywhere, Kubeconfig, Namespace, connected_in
from rollout.cli.printing import Output, OutputOption, text_only

Name = Annotated[str, typer.Argument(help="The Canary.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for the controller's answer.", min=0)]


def register(app: typer.Typer) -> None:
    """Add the commands to a program."""
    for command in (get, status, explain, history, promote, abort, retry, pause, resume, lint):
        app.command()(command)


def get(
    name: Annotated[str, typer.Argument(help="The Canary; without it, all are listed.")] = "",
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing what changes, until Ctrl-C.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one canary as a tree with its workloads, pods, weights and checks; or list them."""
    from rollout.cli.canary import showing
    from rollout.kube.client import Client

    if everywhere and name:
        raise typer.BadParameter("a name and --all-namespaces exclude each other")
    text_only("canary", output, watch=watch)

    async def work(client: Client, where: str) -> None:
        if name and watch:
            await showing.follow(client, where, name)
        elif name:
            await showing.show(client, where, name, output.value)
        elif watch:
            await showing.follow_all(client, None if everywhere else where)
        else:
            await showing.show_all(client, None if everywhere else where, output.value)

    connected_in(namespace, kubeconfig, context, work)


def status(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for the end of what is under way.", min=0)
    ] = 600,
) -> None:
    """Wait for the end of a rollout and say how it ended: exit code 0 well, 1 failed, 3 not ended in time."""
    from rollout.cli.canary import showing
    from rollout.kube.client import Client

    async def work(client: Client, where: str) -> int:
        return await showing.wait(client, where, name, timeout)

    raise typer.Exit(connected_in(namespace, kubeconfig, context, work))


def explain(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
) -> None:
    """Say why a canary is where it is, and what moves it on."""
    from rollout.cli.canary import showing
    from rollout.kube.client import Client

    async def work(client: Client, where: str) -> None:
        await showing.explained(client, where, name)

    connected_in(namespace, kubeconfig, context, work)


def history(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """List the last rollouts of a canary: which revision, how each ended, and why."""
    from rollout.cli.canary import showing
    from rollout.kube.client import Client

    async def work(client: Client, where: str) -> None:
        await showing.past(client, where, name, output.value)

    connected_in(namespace, kubeconfig, context, work)


def promote(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    wait: Wait = 10,
) -> None:
    """Promote the revision under analysis now: the rest of the analysis and its gates are skipped."""
    _ask("promote", name, kubeconfig, context, namespace, wait)


def abort(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    wait: Wait = 10,
) -> None:
    """Give up the revision under analysis: all traffic goes back to the primary."""
    _ask("abort", name, kubeconfig, context, namespace, wait)


def retry(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    wait: Wait = 10,
) -> None:
    """Run the revision that failed again, from the beginning."""
    _ask("retry", name, kubeconfig, context, namespace, wait)


def pause(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
) -> None:
    """Stop a canary where it is: weights stay, nothing is checked, until it is resumed."""
    _suspend(name, kubeconfig, context, namespace, suspended=True)


def resume(
    name: Name,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
) -> None:
    """Let a paused canary go on."""
    _suspend(name, kubeconfig, context, namespace, suspended=False)


def lint(
    files: Annotated[list[Path], typer.Argument(help="YAML files, or - for standard input.")],
) -> None:
    """Validate Canaries, ChaosExperiments, MetricTemplates, AlertProviders and routes in files. Exit code 1 if anything is wrong."""
    import sys

    from rollout.cli.canary.lint import lint as check
    from rollout.cli.errors import CommandFailed

    ok, objects = True, 0
    for path in files:
        standard = str(path) == "-"
        try:
            text = sys.stdin.read() if standard else path.read_text()
        except (OSError, ValueError) as error:
            raise CommandFailed(f"cannot read {path}: {error}") from error
        linted = check("<stdin>" if standard else str(path), text)
        ok, objects = ok and linted.ok, objects + linted.objects
        for finding in linted.findings:
            print(finding)
    if not objects:
        print(
            "nothing to validate: no Canary, ChaosExperiment, MetricTemplate, AlertProvider or route in there"
        )
    elif ok:
        print(f"{objects} object{'s' if objects != 1 else ''} valid")
    if not ok:
        raise typer.Exit(1)


def _ask(
    verb: str, name: str, kubeconfig: str | None, context: str | None, namespace: str, wait: float
) -> None:
    from rollout.cli.canary import asking
    from rollout.delivery.phases.commands import Verb
    from rollout.kube.client import Client

    async def work(client: Client, where: str) -> None:
        print(await asking.ask(client, where, name, Verb(verb), seconds=wait))

    connected_in(namespace, kubeconfig, context, work)


def _suspend(
    name: str, kubeconfig: str | None, context: str | None, namespace: str, *, suspended: bool
) -> None:
    from rollout.cli.canary import asking
    from rollout.kube.client import Client

    async def work(client: Client, where: str) -> None:
        print(await asking.suspend(client, where, name, suspended=suspended))

    connected_in(namespace, kubeconfig, context, work)
