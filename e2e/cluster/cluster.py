"""Brings the cluster up, says whether it is healthy, and takes it away.

There is no repair: a cluster that is not healthy is removed and made anew, which takes seconds and has
one outcome. Up to `up`, nothing of an earlier one, whatever state it is in, is relied upon.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import string
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from e2e.cluster import controlplane, images, layout, node, packages, pki, sandbox
from e2e.cluster.api import Api
from e2e.cluster.build import build
from e2e.cluster.layout import Layout
from e2e.cluster.loading import load
from e2e.cluster.processes import Process
from e2e.cluster.progress import ClusterError, say, step, until

READY_SECONDS = 90.0


@dataclass(slots=True, kw_only=True)
class State:
    """What runs, as `.cluster/state.json` keeps it."""

    binary: str
    port: int
    holder: Process
    processes: dict[str, Process] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """None when there is none, or it was only half written."""
        try:
            found = json.loads(path.read_text())
            return cls(
                binary=found["binary"],
                port=found["port"],
                holder=Process(**found["holder"]),
                processes={name: Process(**each) for name, each in found["processes"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def dead(self) -> str | None:
        """The name of something that should run and does not."""
        everything = {"the cluster's init process": self.holder, **self.processes}
        return next((name for name, each in everything.items() if not each.alive()), None)


def up(cluster: Layout, port: int) -> None:
    """A healthy cluster: the one that runs, or a new one in its place."""
    packages.require_root()
    state = State.read(cluster.state)
    binary = build("kubernetes")
    if state and state.binary == str(binary) and state.port == port and not trouble(cluster):
        say(f"Kubernetes {layout.KUBERNETES} is up; export KUBECONFIG={cluster.kubeconfig}")
        return
    packages.require(packages.NODE)
    _take_the_place(cluster)
    began = time.monotonic()
    down(cluster)
    archives = [images.program_archive(name) for name in images.SYSTEM]
    _require_free(port)
    _write_files(cluster)
    with step(f"starting Kubernetes {layout.KUBERNETES}"):
        state = State(
            binary=str(binary),
            port=port,
            holder=sandbox.create(cluster, build("pause"), binary),
        )
        _start(cluster, state)
        sandbox.forward(port, layout.GATEWAY_PORT)
        for each in archives:
            load(cluster, state.holder, each)
        _start_dns(cluster, state)
    say(
        f"Kubernetes {layout.KUBERNETES} is up after {time.monotonic() - began:.0f} s; "
        f"export KUBECONFIG={cluster.kubeconfig}"
    )


def trouble(cluster: Layout) -> str | None:
    """What keeps the cluster from being healthy, as a clause; None when nothing does."""
    state = State.read(cluster.state)
    if state is None:
        return "no cluster was brought up"
    dead = state.dead()
    if dead:
        return f"{dead} has ended (its log is in {cluster.logs})"
    api = _api(cluster)
    if not api.ready():
        return f"the API server is not ready ({cluster.log('kube-apiserver')})"
    if not _node_ready(api):
        return f"the node is not ready ({cluster.log('kubelet')})"
    if not _dns_ready(api):
        return "CoreDNS is not available (kubectl -n kube-system describe pods)"
    return None


def running(cluster: Layout) -> State:
    """The state of a healthy cluster; a ClusterError says what to do when it is not."""
    why = trouble(cluster)
    state = State.read(cluster.state)
    if why or state is None:
        raise ClusterError(
            f"there is no healthy cluster in {cluster.directory}: {why}; run `make cluster`"
        )
    return state


def load_all(cluster: Layout, archives: list[Path]) -> None:
    """Loads what the cluster lacks of these image archives."""
    holder = running(cluster).holder
    for archive in archives:
        if load(cluster, holder, archive):
            say(f"loaded {archive.name}")


def down(cluster: Layout) -> None:
    """Ends everything that runs and all that it kept, except the logs."""
    packages.require_root()
    sandbox.destroy(cluster.directory)
    sandbox.sweep()
    for path in (cluster.state, cluster.loaded, cluster.kubeconfig):
        path.unlink(missing_ok=True)
    if cluster.lib.exists():
        shutil.rmtree(cluster.lib)


def clean(cluster: Layout) -> None:
    """As `down`, and its directory too; only what was built and downloaded stays, in the cache."""
    down(cluster)
    if cluster.logs.exists():
        shutil.rmtree(cluster.logs)
    if cluster.directory.exists() and not any(cluster.directory.iterdir()):
        cluster.directory.rmdir()


def _take_the_place(cluster: Layout) -> None:
    """Removes what is left of other directories' clusters; refuses when one of them is healthy."""
    for _, home in sandbox.holders():
        if home == cluster.directory:
            continue
        other = Layout(directory=home)
        if home.exists() and not trouble(other):
            raise ClusterError(
                f"another cluster runs on this machine, of {home}; end it with "
                f"`python -m e2e.cluster --dir {home} down`, or use it: export KUBECONFIG={other.kubeconfig}"
            )
        say(f"removing the remains of the cluster of {home}")
        if home.exists():
            down(other)
        else:
            sandbox.destroy(home)


def _require_free(port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            raise ClusterError(
                f"port {port} of this machine, which is to lead to the cluster's gateway, is in use; "
                f"free it, or choose another with HTTP_PORT=…"
            ) from error


def _write_files(cluster: Layout) -> None:
    for folder in (cluster.home / "cni", cluster.logs):
        folder.mkdir(parents=True, exist_ok=True)
    for old in cluster.logs.glob("*.log"):
        old.unlink()
    cluster.directory.chmod(0o700)
    authority = pki.Authority(cluster.pki)
    names = (layout.NODE_ADDRESS, layout.SERVICE_ADDRESS)
    controlplane.issue(authority, apiserver_names=names, node=layout.NODE)
    authority.server("node", (layout.NODE, layout.NODE_ADDRESS))
    server = f"https://{layout.NODE_ADDRESS}:{layout.API_PORT}"
    for identity in (pki.CONTROLLER_MANAGER, pki.SCHEDULER, pki.PROXY, pki.kubelet(layout.NODE)):
        path = cluster.home / f"{identity.file}.kubeconfig"
        path.write_text(pki.kubeconfig(cluster.pki, identity, server))
    cluster.kubeconfig.touch(mode=0o600)
    cluster.kubeconfig.write_text(pki.kubeconfig(cluster.pki, pki.ADMIN, server))
    (cluster.home / "audit.yaml").write_text(controlplane.AUDIT_POLICY)
    for name, content in node.files().items():
        (cluster.home / name).write_text(content)


def _start(cluster: Layout, state: State) -> None:
    api = _api(cluster)
    etcd = Path("/run/rollout/etcd.sock")
    home = layout.IN_HOME
    settings = controlplane.ApiServerSettings(
        etcd=etcd,
        pki=layout.IN_PKI,
        address=layout.NODE_ADDRESS,
        port=layout.API_PORT,
        service_range=layout.SERVICE_RANGE,
        audit_policy=home / "audit.yaml",
        audit_log=layout.IN_AUDIT,
    )
    own = [
        controlplane.etcd(data=Path("/var/lib/etcd"), socket=etcd),
        controlplane.apiserver(settings),
    ]
    clients = [
        controlplane.controller_manager(
            files=layout.IN_PKI,
            kubeconfig=home / f"{pki.CONTROLLER_MANAGER.file}.kubeconfig",
            volume_plugins=node.VOLUME_PLUGINS,
        ),
        controlplane.scheduler(kubeconfig=home / f"{pki.SCHEDULER.file}.kubeconfig"),
        node.kubelet(),
        node.proxy(),
    ]
    _run(cluster, state, node.containerd())
    for command in own:
        _run(cluster, state, [layout.IN_BINARY, *command])
    _until(cluster, state, "the API server", "kube-apiserver", api.ready)
    _until(cluster, state, "containerd", "containerd", lambda: _containerd_ready(state.holder))
    for command in clients:
        _run(cluster, state, [layout.IN_BINARY, *command])
    _until(cluster, state, "the node", "kubelet", lambda: _node_ready(api))


def _run(cluster: Layout, state: State, command: list[str]) -> None:
    name = command[1] if command[0] == layout.IN_BINARY else command[0]
    state.processes[name] = sandbox.start(state.holder, command, cluster.log(name))
    state.save(cluster.state)


def _start_dns(cluster: Layout, state: State) -> None:
    template = string.Template((layout.SOURCES / "coredns.yaml").read_text())
    kubectl(
        cluster,
        "apply", "-f", "-",
        text=template.substitute(
            DOMAIN=layout.DOMAIN, DNS_ADDRESS=layout.DNS_ADDRESS, IMAGE=images.COREDNS
        ),
    )  # fmt: skip
    _until(cluster, state, "CoreDNS", "kubelet", lambda: _dns_ready(_api(cluster)))


def kubectl(cluster: Layout, *arguments: str, text: str) -> None:
    """Runs kubectl with `text` as its input."""
    done = subprocess.run(
        [str(build("kubectl")), *arguments],
        input=text,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"kubectl {arguments[0]} failed: {done.stderr.strip()}")


def _until(cluster: Layout, state: State, what: str, log: str, check: Callable[[], bool]) -> None:
    until(
        what,
        check,
        timeout=READY_SECONDS,
        look=f"its log is {cluster.log(log)}; `make clean` and run it again",
        alive=state.dead,
    )


def _api(cluster: Layout) -> Api:
    return Api(host=layout.NODE_ADDRESS, port=layout.API_PORT, pki=cluster.pki)


def _containerd_ready(holder: Process) -> bool:
    try:
        sandbox.run(holder, "ctr", "--timeout", "2s", "version", timeout=10)
    except ClusterError:
        return False
    return True


def _node_ready(api: Api) -> bool:
    found = api.object(f"/api/v1/nodes/{layout.NODE}")
    conditions = found.get("status", {}).get("conditions", [])
    return {"type": "Ready", "status": "True"}.items() <= _condition(conditions, "Ready").items()


def _dns_ready(api: Api) -> bool:
    found = api.object("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
    return bool(found.get("status", {}).get("availableReplicas"))


def _condition(conditions: list[dict[str, str]], name: str) -> dict[str, str]:
    return next((each for each in conditions if each["type"] == name), {})
