"""The controller's Role suffices for its leases, and for no other Lease."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rollout.api.kinds import LEASE, SERVICE_ACCOUNT, Kind
from rollout.install.chart import render
from rollout.install.values import parse_set
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.election import Contest, Election
from rollout.kube.errors import Forbidden
from tests.integration.apiserver import ApiServer
from tests.integration.kube.support import QUICK, background, running
from tests.waiting import until

RBAC = "rbac.authorization.k8s.io"
ROLE = Kind(RBAC, "v1", "Role", "roles")
ROLE_BINDING = Kind(RBAC, "v1", "RoleBinding", "rolebindings")
SHARDS = 3


class Idle:
    async def prepare(self, shard: int) -> None: ...

    def begin(self, shard: int) -> None: ...

    def end(self, shard: int) -> None: ...


async def as_controller(admin: Client, server: ApiServer, namespace: str, path: Path) -> Path:
    """A kubeconfig of the controller's service account, with the rights that the chart gives it in its namespace."""
    values = parse_set(
        f"image=rollout:1,leaderElection.enabled=true,leaderElection.shards={SHARDS}"
    )
    wanted = {
        SERVICE_ACCOUNT.kind: SERVICE_ACCOUNT,
        ROLE.kind: ROLE,
        ROLE_BINDING.kind: ROLE_BINDING,
    }
    for obj in render(namespace, values).objects:
        if (kind := wanted.get(obj["kind"])) and obj["metadata"]["name"] == "rollout-controller":
            await admin.create(kind, obj)
    token = await admin.request(
        "POST",
        SERVICE_ACCOUNT.path(namespace, "rollout-controller", "token"),
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token["status"]["token"]}
    path.write_text(yaml.safe_dump(config))  # noqa: ASYNC240 - a test's own file
    return path


async def test_the_role_suffices(
    client: Client, apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    kubeconfig = await as_controller(client, apiserver, namespace, tmp_path / "kubeconfig")
    async with await Client.connect(str(kubeconfig)) as controller:
        elections = []
        caches = [Cache(controller, timing=QUICK) for _ in range(2)]
        for number, cache in enumerate(caches):
            contest = Contest(
                group="rollout-controller",
                namespace=namespace,
                identity=f"r{number}",
                shards=SHARDS,
            )
            elections.append(Election(contest, controller, cache, Idle()))
        async with running(caches[0]), running(caches[1]), background(elections[0].run()):
            await until(lambda: len(elections[0].shards) == SHARDS)
            async with background(elections[1].run()):
                await until(lambda: {len(each.shards) for each in elections} == {1, 2})
        with pytest.raises(Forbidden):
            await controller.patch(LEASE, namespace, "somebody-elses", {"spec": {}})
        with pytest.raises(Forbidden):
            await controller.get(LEASE, "default", "rollout-controller-leader")
