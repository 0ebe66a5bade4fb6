"""The commands by name, and what an expected failure looks like: one sentence, exit code 1, no traceback."""

from __future__ import annotations

import sys

import typer

from rollout.cli import analyzing, describing, injecting, installing, judge, serving
from rollout.cli.canary import commands
from rollout.cli.chaos import commands as chaos
from rollout.cli.errors import CommandFailed
from rollout.cli.migrate import commands as migrate
from rollout.cli.proxy import commands as proxy
from rollout.install.errors import InstallError
from rollout.kube.connect import NotConfigured
from rollout.kube.errors import Forbidden, KubeError, Unavailable

app = typer.Typer(
    name="rollout",
    help="Progressive delivery for Kubernetes, with the service mesh it drives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
installing.register(app)
serving.register(app)
judge.register(app)
commands.register(app)
analyzing.register(app)
describing.register(app)
injecting.register(app)
chaos.register(app)
app.add_typer(proxy.app, name="proxy")
app.add_typer(migrate.app, name="migrate")


def run(program: typer.Typer = app) -> int:
    """Run the command line; returns the exit code, or raises SystemExit with it."""
    try:
        program()
    except (InstallError, NotConfigured, CommandFailed) as error:
        return _fail(str(error))
    except Forbidden as error:
        return _fail(f"{error}; use credentials that may do this")
    except Unavailable as error:
        return _fail(f"the API server does not answer: {error}; is the context the right one?")
    except KubeError as error:
        return _fail(f"the API server refused: {error}")
    return 0


def _fail(sentence: str) -> int:
    print(f"rollout: {sentence}", file=sys.stderr)
    return 1
