"""What else is known of lost requests: the gateway's own reasons, and for how long no pod of the application was ready.

A mesh sends nothing to pods that Kubernetes calls unready: while there is no other, requests are lost that no mesh could save.
"""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from bench.losing.disturbing import NAMESPACE
from e2e.lab import SYSTEM, Lab
from rollout.api.kinds import ENDPOINT_SLICE
from rollout.kube.client import Client

SERVICES = frozenset({"meshed", "abrupt"})
_LOOK = 0.2
_SERIES = re.compile(r"^istio_requests_total\{(.*)\} (\d+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def reasons(lab: Lab) -> Counter[str]:
    """Requests that the gateway answered with anything but 200, by code and Envoy's flags for the reason."""
    pods = lab.kubectl.json("get", "pods", "-n", SYSTEM, "-l", "istio=ingressgateway")["items"]
    found: Counter[str] = Counter()
    for pod in pods:
        address = f"http://{pod['status']['podIP']}:15020/stats/prometheus"
        with urllib.request.urlopen(address, timeout=5) as page:
            for labels, count in _SERIES.findall(page.read().decode()):
                said = dict(_LABEL.findall(labels))
                service = said["destination_service_name"]
                if said["response_code"] != "200" and service in SERVICES:
                    found[f"{service} {said['response_code']} {said['response_flags']}"] += int(
                        count
                    )
    return found


@asynccontextmanager
async def unready(client: Client, found: dict[str, Any]) -> AsyncIterator[None]:
    """Counts, while the block lasts, the seconds in which the API server knew of no ready pod."""
    found["seconds_without_a_ready_pod"] = 0.0

    async def look() -> None:
        while True:
            slices = await client.list(
                ENDPOINT_SLICE, NAMESPACE, "kubernetes.io/service-name=meshed"
            )
            if not any(_ready(slices)):
                found["seconds_without_a_ready_pod"] += _LOOK
            await asyncio.sleep(_LOOK)

    task = asyncio.ensure_future(look())
    try:
        yield
    finally:
        task.cancel()


def _ready(slices: list[dict[str, Any]]) -> Iterator[bool]:
    for piece in slices:
        for endpoint in piece.get("endpoints") or ():
            yield bool(endpoint["conditions"].get("ready"))
