"""`rollout inject -f`: proxies put into the workloads of a file, by the control plane that would do it in the cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rollout.cli.connecting import (
    SYSTEM,
    Context,
    Kubeconfig,
    Namespace,
    SystemNamespace,
    connected_in,
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(inject)


def inject(
    file: Annotated[
        Path, typer.Option("--filename", "-f", help="The YAML file; - is standard input.")
    ],
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    system: SystemNamespace = SYSTEM,
) -> None:
    """Print a file's objects with proxies in their pods, for namespaces that are not labelled for it."""
    import yaml

    from rollout.cli import objects
    from rollout.cli.proxy import reaching
    from rollout.kube.client import Client
    from rollout.mesh.inject.files import injected, pod_of

    given = objects.of_file(Path("/dev/stdin") if str(file) == "-" else file)

    async def work(client: Client, where: str) -> list[Any]:
        planes = await reaching.control_planes(client, system)
        found = []
        for obj in given:
            place = obj["metadata"].get("namespace") or where
            pod = pod_of(obj, place)
            if pod is None:
                found.append(obj)
            else:
                patch = await reaching.injection(client, planes[0], place, pod)
                found.append(injected(obj, patch))
        return found

    done = connected_in(namespace, kubeconfig, context, work)
    yaml.safe_dump_all(done, sys.stdout, sort_keys=False, allow_unicode=True)
