"""The delivery controller on a real API server without nodes: `make bench-controller`. The last line is one JSON object.

Canaries on Deployments of 0 replicas, Istio routes, an interval of 10 s: how soon they are initialized, what they cost
while nothing happens, how soon a new revision is noticed, and how late steps are while a hundred roll at once. CPU
seconds and counts stand beside times, because times on a shared machine are partly its other tenants'.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median, quantiles
from time import monotonic
from typing import Any

from bench.delivering.cluster import Bench, Cluster, cluster
from bench.delivering.objects import page
from bench.delivering.process import Controller, controller
from tests.integration.apiserver import ApiServer, api_server
from tests.integration.crds import install_crds
from tests.integration.prometheus import prometheus

SIZES, LARGEST = (100, 600, 1_000), 1_000
NOTICED, ROLLING = 100, 100
IDLE_SECONDS = 60.0
GOALS = {
    "initialized_s": 60.0,
    "idle_requests": 0,
    "idle_cores": 0.05,
    "resident_mib": 200.0,
    "noticed_p99_s": 1.0,
    "late_max_s": 1.0,
}


@contextmanager
def metrics(count: int) -> Iterator[str]:
    """A Prometheus that scrapes the first so many workloads' requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        scrapes = 0

        def do_GET(self) -> None:
            Handler.scrapes += 1
            body = page(range(count), Handler.scrapes).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            with suppress(ConnectionError):  # a scrape that had waited long enough
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with prometheus(f"127.0.0.1:{server.server_port}") as address:
            yield address
    finally:
        server.shutdown()
        server.server_close()


def asked(server: ApiServer, skip: int) -> Counter[str]:
    """What the controller asked for since a mark: leases, watches, and everything else."""
    found: Counter[str] = Counter()
    for event in server.requests(skip):
        if "rollout" in (event.get("userAgent") or ""):
            lease = (event.get("objectRef") or {}).get("resource") == "leases"
            found["leases" if lease else "watches" if event["verb"] == "watch" else "others"] += 1
    return found


async def idle(server: ApiServer, process: Controller) -> dict[str, Any]:
    """What nothing costs."""
    await asyncio.sleep(15)  # what was under way ends, events are written
    mark, cpu, began = len(server.requests()), process.cpu(), monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    cores = (process.cpu() - cpu) / (monotonic() - began)
    found = asked(server, mark)
    return {
        "idle_cores": cores,
        "idle_requests": found["others"],
        "idle_watches": found["watches"],
        "idle_leases": found["leases"],
        "resident_mib": process.resident_mib(),
    }


async def noticed(world: Cluster) -> dict[str, Any]:
    """One new revision after the other: seconds until its canary is seen to progress."""
    waits = []
    for index in range(ROLLING, ROLLING + NOTICED):
        began = await world.revise(index, "app:2")
        waits.append(await world.reached([index], "Progressing", 60) - began)
    return {"noticed_p50_s": median(waits), "noticed_p99_s": percentile(waits, 99)}


async def rolled(world: Cluster, process: Controller) -> dict[str, Any]:
    """So many new revisions at once, to their end: how much more than an interval after the last each step was seen."""
    await world.reached(range(ROLLING, ROLLING + NOTICED), "Succeeded", 300)
    world.late.clear()
    cpu, began = process.cpu(), monotonic()
    await asyncio.gather(*(world.revise(index, "app:2") for index in range(ROLLING)))
    await world.reached(range(ROLLING), "Succeeded", 300)
    late = world.late
    return {
        "late_p50_s": median(late),
        "late_p99_s": percentile(late, 99),
        "late_max_s": max(late),
        "steps": len(late),
        "rolling_cores": (process.cpu() - cpu) / (monotonic() - began),
    }


def percentile(values: list[float], which: int) -> float:
    return quantiles(values, n=100, method="inclusive")[which - 1]


async def measured(size: int, metrics_server: str) -> dict[str, Any]:
    """One size on a fresh API server."""
    with api_server() as server:
        async with await Bench.connect(str(server.kubeconfig)) as client:
            await install_crds(client)
        async with cluster(str(server.kubeconfig)) as world:
            with controller(
                server.kubeconfig, metrics_server, server.directory / "controller.log"
            ) as process:
                began = await world.apply(size)
                figures = {
                    "initialized_s": await world.reached(range(size), "Initialized", 600) - began,
                    "initialized_cpu_s": process.cpu(),
                }
                figures |= await idle(server, process)
                show(f"{size:,} canaries", figures)
                if size == LARGEST:
                    changing = await noticed(world)
                    changing |= await rolled(world, process)
                    changing["peak_mib"] = process.resident_mib()
                    show(f"{ROLLING} of them rolling", changing)
                    figures |= changing
    return figures


def show(title: str, figures: dict[str, float]) -> None:
    print(f"{title:24}", *(f"{key} {value:,.4g}" for key, value in figures.items()), sep="  ")


def main() -> None:
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    with metrics(ROLLING + NOTICED) as address:
        for size in SIZES:
            found = asyncio.run(measured(size, address))
            suffix = "" if size == LARGEST else f"_of_{size}"
            figures |= {f"{key}{suffix}": round(value, 3) for key, value in found.items()}
    figures["load_after"] = os.getloadavg()[0]
    figures["goals_missed"] = [key for key, most in GOALS.items() if figures[key] > most]
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
