"""The book's chapter on resilience with its own loads: a caller's Envoy, simple-backend-1 once and simple-backend-2 twice.

Rates, connections and rules are the book's, times are shorter; bounds are five standard deviations of the expected shares.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from rollout.api.kinds import (
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    GATEWAY,
    NODE,
    SERVICE,
    VIRTUAL_SERVICE,
)
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import fortio
from tests.integration.mesh.fortio import Result
from tests.integration.mesh.support import (
    Envoy,
    control_plane,
    create,
    endpoint_slice,
    envoy,
    free_port,
    service,
)
from tests.waiting import until

HOST = "simple-web.istioinaction.io"
NAME = "simple-backend"
ZONES = ("us-west1-a", "us-west1-b", "us-west1-b")
OUTLIERS = {
    "consecutive5xxErrors": 1, "interval": "5s", "baseEjectionTime": "5s", "maxEjectionPercent": 100
}  # fmt: skip


@dataclass(slots=True)
class Scene:
    """simple-backend behind a caller's Envoy; retries are off until a rule says otherwise."""

    client: Client
    namespace: str
    proxy: Envoy
    url: str
    ports: tuple[int, ...]
    servers: AsyncExitStack = field(default_factory=AsyncExitStack)
    change: int = 0

    async def backends(self, first: str, others: str) -> None:
        """What simple-backend-1 and the two of simple-backend-2 answer from now on."""
        await self.servers.aclose()
        for index, port in enumerate(self.ports):
            parameters = others if index else first
            await self.servers.enter_async_context(fortio.server(port, parameters))

    async def alone(self) -> None:
        """simple-backend-2 is scaled to nothing."""
        for index in range(1, len(self.ports)):
            await self.client.delete(ENDPOINT_SLICE, self.namespace, f"{NAME}-{index}")
        self.ports = self.ports[:1]
        await until(self.warm, "one backend is left")

    async def rule(self, policy: Object) -> None:
        """Sets the DestinationRule, and waits until Envoy has it."""
        before = await self.stat("cluster_manager.cluster_modified", whole=True)
        found = await self.client.get(DESTINATION_RULE, self.namespace, NAME)
        spec = {"host": NAME, "trafficPolicy": policy}
        await self.client.replace(DESTINATION_RULE, {**found, "spec": spec})

        async def modified() -> bool:
            return await self.stat("cluster_manager.cluster_modified", whole=True) > before

        await until(modified, "Envoy has the rule")
        await until(self.warm, "the cluster is warm")

    async def route(self, annotations: dict[str, str] | None = None, **rule: Any) -> None:
        """Sets timeouts and retries, and waits until Envoy has them."""
        self.change += 1
        headers = {"response": {"set": {"x-change": str(self.change)}}}
        http = [{"route": [{"destination": {"host": NAME}}], "headers": headers, **rule}]
        patch: Object = {"spec": {"http": http}, "metadata": {"annotations": annotations or {}}}
        await self.client.patch(VIRTUAL_SERVICE, self.namespace, "simple-web", patch)

        async def updated() -> bool:
            async with (
                ClientSession() as session,
                session.get(self.url, headers={"Host": HOST}) as response,
            ):
                return response.headers.get("x-change") == str(self.change)

        await until(updated, "Envoy has the route")

    async def warm(self) -> bool:
        return await self.stat("membership_total") == len(self.ports)

    async def stat(self, name: str, *, whole: bool = False) -> int:
        """One of Envoy's counters: of the backends' cluster, or of the whole proxy."""
        cluster = f"cluster.outbound|80||{NAME}.{self.namespace}.svc.cluster.local."
        text = await self.proxy.get("/stats?format=text")
        found = dict(line.rsplit(": ", 1) for line in text.splitlines() if ": " in line)
        return int(found[name if whole else cluster + name])

    async def load(self, *arguments: str) -> Result:
        return await fortio.load(self.url, HOST, *arguments)

    async def taken(self) -> list[int]:
        """Requests that each backend has had."""
        cluster = f"outbound|80||{NAME}.{self.namespace}.svc.cluster.local"
        found = dict.fromkeys(map(str, self.ports), 0)
        for line in (await self.proxy.get("/clusters")).splitlines():
            name, _, rest = line.partition("::")
            parts = rest.split("::")
            if name == cluster and len(parts) == 3 and parts[1] == "rq_total":
                found[parts[0].rsplit(":", 1)[1]] = int(parts[2])
        return [found[str(port)] for port in self.ports]

    async def shares(self, count: int) -> list[int]:
        """How many of so many requests each backend gets."""
        before = await self.taken()
        await self.load("-c", "4", "-qps", "0", "-n", str(count))
        return [new - old for old, new in zip(before, await self.taken(), strict=True)]


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    ports, port, label = tuple(free_port() for _ in ZONES), free_port(), f"gateway-{namespace}"
    await create(client, SERVICE, namespace, service("web", 80, port, istio=label))
    await create(client, SERVICE, namespace, service(NAME))
    for zone in sorted(set(ZONES)):
        labels = {f"topology.kubernetes.io/{part}": name for part, name in (("region", "us-west1"), ("zone", zone))}  # fmt: skip
        await client.create(NODE, {"metadata": {"name": f"{namespace}-{zone}", "labels": labels}})
    for index, (each, zone) in enumerate(zip(ports, ZONES, strict=True)):
        piece = endpoint_slice(NAME, each)
        piece["metadata"]["name"] = f"{NAME}-{index}"
        piece["endpoints"][0]["nodeName"] = f"{namespace}-{zone}"
        await create(client, ENDPOINT_SLICE, namespace, piece)
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    rules = [{"route": [{"destination": {"host": NAME}}], "retries": {"attempts": 0}}]
    for kind, name, spec in (
        (GATEWAY, "edge", {"selector": {"istio": label}, "servers": [server]}),
        (VIRTUAL_SERVICE, "simple-web", {"hosts": [HOST], "gateways": ["edge"], "http": rules}),
        (DESTINATION_RULE, NAME, {"host": NAME}),
    ):
        await create(client, kind, namespace, {"metadata": {"name": name}, "spec": spec})
    labels = {"istio": label, "app": "simple-web", "istio-locality": "us-west1.us-west1-a"}
    async with (
        control_plane(apiserver.kubeconfig) as plane,
        envoy(tmp_path, plane.port, namespace=namespace, labels=labels) as proxy,
        AsyncExitStack() as servers,
    ):
        found = Scene(client, namespace, proxy, f"http://127.0.0.1:{port}/", ports, servers)
        await found.backends("delay=1ms", "delay=1ms")
        await until(found.warm, "the backends are known")
        yield found


def share(expected: float, count: int) -> tuple[float, float]:
    """Five standard deviations around a share of so many requests."""
    deviation = 5 * (count * expected * (1 - expected)) ** 0.5
    return count * expected - deviation, count * expected + deviation


async def test_least_request_does_without_the_slow_one(scene: Scene) -> None:
    """6.2: of the three endpoints one takes a second, which a quarter of the calls feels unless it is avoided."""
    await scene.backends("delay=1s", "delay=150ms")
    found = {}
    for simple in ("ROUND_ROBIN", "RANDOM", "LEAST_REQUEST"):
        await scene.rule({"loadBalancer": {"simple": simple}})
        before = await scene.taken()
        result = await scene.load("-c", "10", "-qps", "1000", "-t", "6s", "-jitter")
        taken = [new - old for old, new in zip(before, await scene.taken(), strict=True)]
        found[simple] = result, taken
        assert result.bad == 0
    assert found["ROUND_ROBIN"][0].percentile(75) >= 0.9
    assert found["LEAST_REQUEST"][0].percentile(75) < 0.5
    slow, *others = found["RANDOM"][1]
    least, most = share(1 / 3, slow + sum(others))
    assert least <= slow <= most


async def test_the_nearest_while_they_are_well(scene: Scene) -> None:
    """6.2.4: preference for the own zone needs outlier detection; distribute gives shares."""
    everywhere = await scene.shares(120)
    assert all(everywhere)
    await scene.rule({"outlierDetection": {**OUTLIERS, "baseEjectionTime": "30s"}})
    assert await scene.shares(60) == [60, 0, 0]
    await scene.backends("status=500", "delay=1ms")
    await scene.load("-c", "1", "-qps", "0", "-n", "5")
    assert (await scene.shares(60))[0] == 0
    await scene.backends("delay=1ms", "delay=1ms")
    setting = {"distribute": [{"from": "us-west1/us-west1-a/*", "to": {
        "us-west1/us-west1-a/*": 70, "us-west1/us-west1-b/*": 30}}]}  # fmt: skip
    await scene.rule({"loadBalancer": {"localityLbSetting": setting}, "outlierDetection": OUTLIERS})
    near, *far = await scene.shares(400)
    least, most = share(0.7, 400)
    assert least <= near <= most
    assert near + sum(far) == 400


async def test_a_timeout_ends_what_is_slow(scene: Scene) -> None:
    """6.3.1: half of one backend's calls take a second; 0.5 s is the most that anybody waits."""
    await scene.backends("delay=1s:50", "delay=1ms")
    await scene.rule({"loadBalancer": {"simple": "ROUND_ROBIN"}})
    await scene.route(timeout="0.5s", retries={"attempts": 0})
    result = await scene.load("-c", "10", "-qps", "30", "-t", "6s")
    least, most = share(1 / 6, result.total)
    assert least <= result.codes["504"] <= most
    assert result.good + result.codes["504"] == result.total
    assert result.percentile(75) < 0.5


@pytest.mark.parametrize(
    ("status", "retries", "fails"),
    [
        (503, {"attempts": 0}, True),
        (503, {"attempts": 2}, False),
        (500, {"attempts": 2}, True),
        (500, {"attempts": 2, "retryOn": "5xx"}, False),
        (408, {"attempts": 2, "retryOn": "5xx,retriable-status-codes,408"}, False),
    ],
    ids=["503, off", "503", "500 is not retried", "500 by 5xx", "408 by its code"],
)
async def test_retries(scene: Scene, status: int, retries: dict[str, Any], fails: bool) -> None:
    """6.3.2: one of three backends fails three quarters of its calls."""
    await scene.backends(f"status={status}:75", "delay=1ms")
    await scene.rule({"loadBalancer": {"simple": "ROUND_ROBIN"}})
    await scene.route(retries=retries)
    result = await scene.load("-c", "4", "-qps", "0", "-n", "400")
    least, most = share(0.25, 400) if fails else (0, 0)
    assert least <= result.bad <= most


async def test_hedging_takes_the_first_good_answer(scene: Scene) -> None:
    """6.3.3: an attempt that takes too long goes on beside the next one."""
    await scene.backends("delay=500ms", "delay=500ms")
    retries = {"attempts": 2, "perTryTimeout": "300ms", "retryOn": "5xx"}
    await scene.route(retries=retries, timeout="3s")
    assert (await scene.load("-c", "1", "-qps", "0", "-n", "2")).codes == {"504": 2}
    hedged = {"mesh.rollout.dev/hedge-on-per-try-timeout": "true"}
    await scene.route(hedged, retries=retries, timeout="3s")
    assert (await scene.load("-c", "1", "-qps", "0", "-n", "2")).codes == {"200": 2}


async def test_a_retry_budget_ends_the_storm(scene: Scene) -> None:
    """Chapter 1's pattern: retries are a share of the requests under way."""
    await scene.backends("status=503&delay=50ms", "status=503&delay=50ms")
    await scene.rule({"retryBudget": {"percent": 10, "minRetryConcurrency": 1}})
    await scene.route(retries={"attempts": 2})
    result = await scene.load("-c", "20", "-qps", "0", "-n", "400")
    assert result.bad == 400
    assert await scene.stat("upstream_rq_retry_overflow") > 200
    assert await scene.stat("upstream_rq_retry") < 200


def pool(pending: int) -> Object:
    http = {"http1MaxPendingRequests": pending, "maxRequestsPerConnection": 1}
    return {"connectionPool": {"tcp": {"maxConnections": 1}, "http": http}}


async def test_circuit_breaking(scene: Scene) -> None:
    """6.4.1: one call a second passes a pool of one; of four at a time one is served, one waits, Envoy counts the others."""
    await scene.backends("delay=1s", "delay=1s")
    await scene.alone()
    await scene.rule(pool(1))
    assert (await scene.load("-c", "1", "-qps", "1", "-t", "5s", "-jitter")).bad == 0
    result = await scene.load("-c", "4", "-qps", "4", "-t", "8s", "-jitter")
    assert set(result.codes) == {"200", "503"}
    # Fortio's first call of each connection is not among its results.
    assert 0 <= await scene.stat("upstream_rq_pending_overflow") - result.codes["503"] <= 4
    assert 0.2 <= result.bad / result.total <= 0.9
    assert await scene.stat("upstream_cx_overflow") > 0
    await scene.rule(pool(4))
    assert (await scene.load("-c", "4", "-qps", "4", "-t", "5s", "-jitter")).bad == 0


async def test_outlier_detection(scene: Scene) -> None:
    """6.4.2: whoever fails is left out for five seconds, so nearly no call fails; with retries none does."""
    balancer = {"simple": "ROUND_ROBIN", "localityLbSetting": {"enabled": False}}
    await scene.backends("status=500:75", "delay=1ms")
    await scene.rule({"loadBalancer": balancer})
    before = await scene.load("-c", "10", "-qps", "20", "-uniform", "-t", "8s")
    least, most = share(0.25, before.total)
    assert least <= before.bad <= most
    await scene.rule({"loadBalancer": balancer, "outlierDetection": OUTLIERS})
    after = await scene.load("-c", "10", "-qps", "20", "-uniform", "-t", "12s")
    ejections = await scene.stat("outlier_detection.ejections_enforced_consecutive_5xx")
    assert 1 <= ejections <= 4
    assert after.bad <= 0.05 * after.total
    await scene.route(retries={"attempts": 2, "retryOn": "5xx"})
    assert (await scene.load("-c", "10", "-qps", "20", "-uniform", "-t", "8s")).bad == 0
