"""`rollout describe pod|service NAME`: what the mesh knows of it, and which rules lead to it."""

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


class What(StrEnum):
    """What can be described."""

    POD = "pod"
    SERVICE = "service"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(describe)


def describe(
    what: Annotated[What, typer.Argument(help="pod or service.")],
    name: Annotated[str, typer.Argument(help="Its name.")],
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "",
    system: SystemNamespace = SYSTEM,
) -> None:
    """Say which services, rules, subsets and shares concern a pod or a service."""
    from rollout.cli import objects
    from rollout.cli.errors import CommandFailed
    from rollout.kube.client import Client
    from rollout.mesh.analysis.describe import describe_pod, describe_service
    from rollout.mesh.analysis.world import World
    from rollout.mesh.model.service import service_host

    async def work(client: Client, where: str) -> list[str]:
        world = World(await objects.of_cluster(client), system)
        if what is What.SERVICE:
            service = world.registry.services.get(service_host(where, name))
            found = describe_service(world, service) if service else None
        else:
            key = {"namespace": where, "name": name}
            pods = [p for p in world.objects["Pod"] if key.items() <= p["metadata"].items()]
            found = describe_pod(world, pods[0]) if pods else None
        if found is None:
            raise CommandFailed(f"there is no {what} {where}/{name}")
        return found

    print("\n".join(connected_in(namespace, kubeconfig, context, work)))
