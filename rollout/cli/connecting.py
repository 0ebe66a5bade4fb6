"""How commands reach the cluster: as kubectl would, in the namespace that is named or the context's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

Kubeconfig = Annotated[
    str | None, typer.Option(help="The kubeconfig file; else $KUBECONFIG or ~/.kube/config.")
]
Context = Annotated[
    str | None, typer.Option(help="The context of the kubeconfig; else its current one.")
]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="The namespace; else the context's.")
]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="In all namespaces.")]
SystemNamespace = Annotated[
    str, typer.Option("--system-namespace", help="Where rollout itself runs.")
]

SYSTEM = "rollout-system"
"""Where rollout runs unless it was installed elsewhere."""

T = TypeVar("T")


def connected(kubeconfig: str | None, context: str | None, work: Callable[..., Awaitable[T]]) -> T:
    """What `work(client)` answers; Ctrl-C ends the command with exit code 130."""
    from rollout.kube.client import Client

    async def run() -> T:
        async with await Client.connect(kubeconfig, context) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def connected_in(
    namespace: str, kubeconfig: str | None, context: str | None, work: Callable[..., Awaitable[T]]
) -> T:
    """What `work(client, namespace)` answers, in the namespace that is named or else the context's."""
    from rollout.kube.context import default_namespace

    where = namespace or default_namespace(kubeconfig, context)
    return connected(kubeconfig, context, lambda client: work(client, where))
