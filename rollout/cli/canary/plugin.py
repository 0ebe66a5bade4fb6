"""`kubectl canary ...`: kubectl runs the program `kubectl-canary` that it finds on the PATH."""

from __future__ import annotations

import sys

import typer


def main() -> None:
    """Run the plugin and exit with its code."""
    from rollout.cli.app import run
    from rollout.cli.canary.commands import register

    program = typer.Typer(
        name="kubectl canary",
        help="Watch and steer canaries.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    register(program)
    sys.exit(run(program))
