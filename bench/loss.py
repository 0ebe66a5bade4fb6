"""What callers notice of the mesh on the real cluster: requests lost while everything changes, and what proxies add.

`python -m bench.loss [SECONDS [QUIET [WHAT...]]]` on the local cluster, where rollout is installed. First 500 requests a
second through the gateway and a sidecar, and 100 to a lone pod that ends at once, while routes change each second, the
control plane is replaced and one of it killed, pods roll, the lone one too, and the root is changed, all at the same time
(or WHAT alone: routes, pods, abrupt, control_plane, root); then 500 for QUIET seconds (60) without any of it, beside the
application alone. The last line is one JSON object with the figures and the goals that were missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.goals import missed
from bench.losing.disturbing import NAMESPACE, Disturber
from bench.losing.memory import megabytes
from bench.losing.witness import reasons, unready
from e2e.kubectl import until
from e2e.lab import GATEWAY, GATEWAY_PORT, SYSTEM, Lab, responds
from e2e.load import Load, steady_load
from rollout.kube.client import Client

RATE = 500
SECONDS = 230
QUIET_SECONDS = 60
ABRUPT_RATE = 100
ALL = ("routes", "pods", "abrupt", "control_plane", "root")
GOALS = {"lost": 0, "abrupt_lost": 0, "p99_added_ms": 2.0, "sidecar_mib": 80.0}
MANIFEST = Path(__file__).parent / "losing" / "app.yaml"
HOST = f"meshed.localhost:{GATEWAY_PORT}"
ABRUPT = f"abrupt.localhost:{GATEWAY_PORT}"
_ROUTED = f"http://istio-ingressgateway.{SYSTEM}/"


def deploy(lab: Lab) -> None:
    """The applications and the caller, ready."""
    image = lab.kubectl.run(
        "get", "deployment", "rollout-mesh", "-n", SYSTEM,
        "-o", "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    lab.kubectl.run("apply", "-f", "-", stdin=MANIFEST.read_text().replace("ROLLOUT", image))
    for what in ("deployment/meshed", "deployment/abrupt", "deployment/bare", "pod/caller"):
        condition = "Available" if what.startswith("deployment") else "Ready"
        lab.kubectl.wait(f"--for=condition={condition}", what, "-n", NAMESPACE)


async def disturbed(lab: Lab, seconds: int, what: Sequence[str]) -> dict[str, Any]:
    """The load under which everything changes."""
    witnessed: dict[str, Any] = {}
    before = reasons(lab)
    async with await Client.connect(str(lab.kubectl.kubeconfig)) as client:
        disturber = Disturber(client, SYSTEM, lab.kill)
        async with unready(client, witnessed):
            load, lone = await _under_load(lab, disturber, seconds, what)
    witnessed["reasons"] = dict(reasons(lab) - before)
    return {
        "requests": load.requests,
        "lost": load.requests - load.codes.get("200", 0),
        "codes": load.codes,
        "abrupt_requests": lone.requests,
        "abrupt_lost": lone.requests - lone.codes.get("200", 0),
        **witnessed,
        **disturber.done,
    }


async def _under_load(
    lab: Lab, disturber: Disturber, seconds: int, what: Sequence[str]
) -> tuple[Load, Load]:
    send = partial(steady_load, lab.fortio, GATEWAY, limit_seconds=seconds + 30)
    with (
        send(host=HOST, qps=RATE, connections=64) as load,
        send(host=ABRUPT, qps=ABRUPT_RATE, connections=16) as lone,
    ):
        await asyncio.sleep(2)
        tasks = [asyncio.ensure_future(getattr(disturber, each)()) for each in what]
        _, pending = await asyncio.wait(tasks, timeout=seconds, return_when="FIRST_EXCEPTION")
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        assert len(pending) == len(set(what) - {"root"}), "a disturbance ended"
    return load, lone


def calm(lab: Lab, seconds: int, url: str, host: str) -> dict[str, float]:
    """Milliseconds of requests from within the cluster, at the same rate."""
    command = ["fortio", "load", "-quiet", "-uniform", "-nocatchup", "-c", "16", "-qps", str(RATE)]
    command += ["-t", f"{seconds}s", "-p", "50,99", "-r", "0.00001", "-json", "-"]
    printed = lab.kubectl.run(
        "exec", "-n", NAMESPACE, "caller", "-c", "fortio", "--",
        *command, "-H", f"Host: {host}", url, timeout=seconds + 60,
    )  # fmt: skip
    found = json.loads(printed)
    assert set(found["RetCodes"]) == {"200"}, found["RetCodes"]
    named = {
        each["Percentile"]: each["Value"] for each in found["DurationHistogram"]["Percentiles"]
    }
    return {"p50": named[50] * 1000, "p99": named[99] * 1000, "qps": found["ActualQPS"]}


def quiet(lab: Lab, seconds: int) -> dict[str, Any]:
    """What the gateway adds, what it adds with a sidecar, and what both hold."""
    ways = {
        "bare": calm(lab, seconds, f"http://bare.{NAMESPACE}/", "bare"),
        "gateway": calm(lab, seconds, _ROUTED, "bare.localhost"),
        "gateway_sidecar": calm(lab, seconds, _ROUTED, "meshed.localhost"),
    }
    found: dict[str, Any] = {
        f"{way}_{name}_ms": round(values[name], 2) for way, values in ways.items() for name in ("p50", "p99")
    }  # fmt: skip
    found["rate"] = round(min(values["qps"] for values in ways.values()))
    for name in ("p50", "p99"):
        added = ways["gateway_sidecar"][name] - ways["bare"][name]
        found[f"{name}_added_ms"] = round(added, 2)
    for who, where, labels in (
        ("sidecar", NAMESPACE, "app=meshed"),
        ("gateway", SYSTEM, "istio=ingressgateway"),
    ):
        pod = lab.kubectl.json("get", "pods", "-n", where, "-l", labels)["items"][0]
        held = megabytes(pod["metadata"]["uid"], "envoy", "rollout")
        found |= {f"{who}_{name}_mib": size for name, size in held.items()}
        found[f"{who}_mib"] = round(sum(held.values()), 1)
    return found


def main() -> None:
    given = [int(each) for each in sys.argv[1:3]]
    seconds, still = (*given, *(SECONDS, QUIET_SECONDS)[len(given) :])
    lab = Lab.attach()
    deploy(lab)
    try:
        for host in (HOST, ABRUPT):
            until(f"{host} to answer", partial(responds, host), timeout=60)
        found: dict[str, Any] = {"load_before": os.getloadavg()[0]}
        if seconds:
            found |= asyncio.run(disturbed(lab, seconds, sys.argv[3:] or ALL))
            print(json.dumps(found), flush=True)
        if still:
            found |= quiet(lab, still)
        found["load_after"] = os.getloadavg()[0]
    finally:
        lab.kubectl.run("delete", "namespace", NAMESPACE, "--timeout=90s", timeout=100)
    print(json.dumps({"figures": found, "goals_missed": missed(found, GOALS)}))


if __name__ == "__main__":
    main()
