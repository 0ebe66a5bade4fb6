"""Something like a pod: a network namespace with the agent's interception rules, an application and a real sidecar."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rollout.mesh.agent.iptables import Exclusions, rules
from rollout.mesh.agent.settings import PROXY_UID
from tests.integration.envoy import envoy_binary
from tests.integration.mesh.support import document
from tests.waiting import until

APPLICATION = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"name": "app", "headers": dict(self.headers)}).encode()
        self.send_response(500 if "fail" in self.path else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""
requires = pytest.mark.usefixtures("network_tools")


@dataclass(frozen=True, slots=True)
class Pod:
    """`address` is the pod's, `host` this machine's as the pod sees it."""

    netns: str
    address: str
    host: str
    directory: Path

    def inside(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.netns, *command]

    async def curl(self, *arguments: str) -> tuple[int, str]:
        """Status and body of a request by the application."""
        command = self.inside("curl", "-s", "-m", "5", "-w", "\\n%{http_code}", *arguments)
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        body, _, status = out.decode().rpartition("\n")
        return int(status), body


@contextmanager
def network(directory: Path) -> Iterator[Pod]:
    """A namespace with one interface, whose traffic is intercepted."""
    number = os.getpid() % 200 + 20
    pod = Pod(f"rollout-test-{os.getpid()}", f"10.213.{number}.2", f"10.213.{number}.1", directory)
    near, far = f"rt{os.getpid()}a"[:15], f"rt{os.getpid()}b"[:15]
    steps = [
        ["ip", "netns", "add", pod.netns],
        ["ip", "link", "add", near, "type", "veth", "peer", "name", far],
        ["ip", "link", "set", far, "netns", pod.netns],
        ["ip", "addr", "add", f"{pod.host}/30", "dev", near],
        ["ip", "link", "set", near, "up"],
        pod.inside("ip", "addr", "add", f"{pod.address}/30", "dev", far),
        pod.inside("ip", "link", "set", far, "up"),
        pod.inside("ip", "link", "set", "lo", "up"),
        pod.inside("ip", "route", "add", "default", "via", pod.host),
    ]
    try:
        for step in steps:
            subprocess.run(step, check=True, timeout=10)
        restore = pod.inside("iptables-restore", "--noflush")
        subprocess.run(restore, input=rules(Exclusions()), text=True, check=True, timeout=10)
        yield pod
    finally:
        subprocess.run(["ip", "netns", "del", pod.netns], check=False, timeout=10)
        subprocess.run(["ip", "link", "del", near], check=False, timeout=10, capture_output=True)


@asynccontextmanager
async def running(
    pod: Pod, *command: str, keep: tuple[int, ...] = (), cwd: Path | None = None
) -> AsyncIterator[None]:
    log = pod.directory / "pod.log"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *pod.inside(*command), stdout=out, stderr=out, pass_fds=keep, cwd=cwd
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def pod(
    directory: Path,
    xds_port: int,
    *,
    namespace: str,
    name: str,
    labels: dict[str, str],
    identity: Path | None = None,
    drain_seconds: int = 45,
    changed: Callable[[dict[str, Any]], None] = lambda _document: None,
) -> AsyncIterator[Pod]:
    """The whole: the application listens on 8080; Envoy's admin on 15000, both inside.

    With a directory of an identity, Envoy runs in it and comes by TLS. Connections of a listener that has changed go on
    for the drain's time at most, and with them what it has counted. `changed` may change the bootstrap.
    """
    with network(directory) as found:
        config = document("sidecar", namespace, name, xds_port, labels, 15000, identity)
        xds = config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]
        xds["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] = found.host
        changed(config)
        with envoy_binary().open("rb") as binary:
            fd = binary.fileno()
            # By descriptor: the proxy's user may not look into this user's directories.
            proxy = ["setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}", "--clear-groups"]
            if identity is not None:
                # The identity's files belong to who runs the test.
                proxy += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
            proxy += [f"/proc/self/fd/{fd}", "--config-yaml", json.dumps(config)]
            proxy += ["--concurrency", "1", "-l", "warning", "--disable-hot-restart"]
            proxy += ["--drain-time-s", str(drain_seconds), "--drain-strategy", "immediate"]
            async with (
                running(found, sys.executable, "-c", APPLICATION, "8080"),
                running(found, *proxy, keep=(fd,), cwd=identity),
            ):
                await until(partial(_ready, found), "the sidecar is ready")
                yield found


async def _ready(pod: Pod) -> bool:
    _, body = await pod.curl("http://127.0.0.1:15000/ready")
    return body.strip() == "LIVE"
