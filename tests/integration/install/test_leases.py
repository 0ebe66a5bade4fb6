"""The Roles of controller and mesh suffice for their leases, and for no other Lease."""

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


async def as_account(
    admin: Client, server: ApiServer, namespace: str, account: str, path: Path
) -> Path:
    """A kubeconfig of a service account of the chart's, with the rights that the chart gives it in its namespace."""
    values = parse_set(
        f"image=rollout:1,leaderElection.enabled=true,leaderElection.shards={SHARDS}"
    )
    wanted = {
        SERVICE_ACCOUNT.kind: SERVICE_ACCOUNT,
        ROLE.kind: ROLE,
        ROLE_BINDING.kind: ROLE_BINDING,
    }
    for obj in render(namespace, values).objects:
        if (kind := wanted.get(obj["kind"])) and obj["metadata"]["name"] == account:
            await admin.create(kind, obj)
    token = await admin.request(
        "POST",
        SERVICE_ACCOUNT.path(namespace, account, "token"),
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token["status"]["token"]}
    path.write_text(yaml.safe_dump(config))  # noqa: ASYNC240 - a test's own file
    return path


@pytest.mark.parametrize(
    ("account", "shards"), [("rollout-controller", SHARDS), ("rollout-mesh", 1)]
)
async def test_the_role_suffices(
    client: Client, apiserver: ApiServer, namespace: str, tmp_path: Path, account: str, shards: int
) -> None:
    kubeconfig = await as_account(client, apiserver, namespace, account, tmp_path / "kubeconfig")
    async with await Client.connect(str(kubeconfig)) as own:
        elections = []
        caches = [Cache(own, timing=QUICK) for _ in range(2)]
        for number, cache in enumerate(caches):
            contest = Contest(
                group=account, namespace=namespace, identity=f"r{number}", shards=shards
            )
            elections.append(Election(contest, own, cache, Idle()))
        async with running(caches[0]), running(caches[1]), background(elections[0].run()):
            await until(lambda: len(elections[0].shards) == shards)
            async with background(elections[1].run()):
                expected = {shards // 2, shards - shards // 2}
                await until(lambda: {len(each.shards) for each in elections} == expected)
        with pytest.raises(Forbidden):
            await own.patch(LEASE, namespace, "somebody-elses", {"spec": {}})
        with pytest.raises(Forbidden):
            await own.get(LEASE, "default", f"{account}-leader")
