"""A real API server of one's own for a test: etcd and kube-apiserver on a free port, and nothing else.

No kubelet and no scheduler: objects are stored, watched and admitted, pods never run. It ends with the
process that started it, however that ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.cluster import controlplane, pki
from e2e.cluster.api import Api
from e2e.cluster.build import build
from e2e.cluster.processes import Process, spawn
from e2e.cluster.progress import ClusterError, until

HOST = "127.0.0.1"
SERVICES = "10.0.0.0/16"
READY_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class ApiServer:
    """A running API server; `kubeconfig` is an administrator's. Its files vanish with it.

    `stop` and `start` end and restart it on the same port with the same data; `pause` and `resume`
    freeze it, so that connections stay open and nothing answers.
    """

    directory: Path
    port: int
    _processes: dict[str, Process] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def api(self) -> Api:
        """Reads objects and pages (`/metrics`) as the administrator."""
        return Api(host=HOST, port=self.port, pki=self.directory / "pki")

    def stop(self) -> None:
        """The API server ends; etcd, and so the data, stays."""
        self._processes.pop("kube-apiserver").kill()

    def start(self) -> None:
        """Starts it and returns when it is ready."""
        settings = controlplane.ApiServerSettings(
            etcd=self._etcd,
            pki=self.directory / "pki",
            address=HOST,
            port=self.port,
            service_range=SERVICES,
            audit_policy=self.directory / "audit.yaml",
            audit_log=self._audit,
        )
        # A test's clients are many and its server is one: the loopback address may be advertised.
        command = controlplane.apiserver(settings)
        self._run("kube-apiserver", [*command, "--endpoint-reconciler-type=none"])
        self._until("the API server", self.api.ready)

    def pause(self) -> None:
        self._processes["kube-apiserver"].signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._processes["kube-apiserver"].signal(signal.SIGCONT)

    def requests(self, skip: int = 0) -> list[dict[str, Any]]:
        """What was asked of it, one audit event a request (a watch when it begins), oldest first.

        `len(requests())` is a mark to `skip` to later. Each has `verb`, `requestURI`, `user.username`,
        `userAgent`, `objectRef`; the administrator's reads of health pages and metrics are left out.
        """
        if not self._audit.exists():
            return []
        found: dict[str, dict[str, Any]] = {}
        # The last line may still be in the writing.
        for line in self._audit.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            event = json.loads(line)
            found.setdefault(event["auditID"], event)
        return list(found.values())[skip:]

    def run_controllers(self) -> None:
        """Adds a controller manager: garbage collection, namespaces' deletion, ReplicaSets."""
        path = self.directory / "controller-manager.kubeconfig"
        files = self.directory / "pki"
        path.write_text(pki.kubeconfig(files, pki.CONTROLLER_MANAGER, self.url))
        command = controlplane.controller_manager(
            files=files, kubeconfig=path, volume_plugins=self.directory / "volumes"
        )
        self._run("kube-controller-manager", command)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._until("the controller manager", lambda: bool(self.api.object(account)))

    @property
    def _etcd(self) -> Path:
        return self.directory / "etcd.sock"

    @property
    def _audit(self) -> Path:
        return self.directory / "audit.log"

    def _begin(self) -> None:
        authority = pki.Authority(self.directory / "pki")
        controlplane.issue(authority, apiserver_names=())
        self.kubeconfig.write_text(pki.kubeconfig(self.directory / "pki", pki.ADMIN, self.url))
        (self.directory / "audit.yaml").write_text(controlplane.AUDIT_POLICY)
        self._run("etcd", controlplane.etcd(data=self.directory / "etcd", socket=self._etcd))
        self.start()

    def _end(self) -> None:
        for process in reversed(self._processes.values()):
            process.kill()

    def _run(self, name: str, command: list[str]) -> None:
        """The process is killed by the kernel when the one that started it ends."""
        self._processes[name] = spawn(
            ["setpriv", "--pdeathsig", "KILL", str(build("kubernetes")), *command],
            self.directory / f"{name}.log",
        )

    def _until(self, what: str, check: Callable[[], bool]) -> None:
        until(
            what,
            check,
            timeout=READY_SECONDS,
            look=f"its logs are in {self.directory}",
            alive=lambda: next(
                (name for name, process in self._processes.items() if not process.alive()), None
            ),
        )


@contextmanager
def api_server(*, controllers: bool = False) -> Iterator[ApiServer]:
    """A fresh API server for as long as the block lasts, ready in about 3 s; many may run at once.

    With `controllers` a controller manager too. When it does not come up its logs are kept.
    """
    # Unix sockets' paths are limited to 107 characters: not below pytest's deep directories.
    directory = Path(tempfile.mkdtemp(prefix="rollout-api-"))
    with _free_port() as port:
        server = ApiServer(directory=directory, port=port)
        try:
            server._begin()
            if controllers:
                server.run_controllers()
        except ClusterError:
            server._end()
            raise
        try:
            yield server
        finally:
            server._end()
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _free_port() -> Iterator[int]:
    """A port that nobody listens on, and that no other test's server takes for as long as the block lasts.

    Below the ephemeral range nobody is given it by chance; a name of the kernel's, gone with its process, keeps it.
    """
    for port in range(20000 + os.getpid() % 6000, 32000):
        with socket.socket() as attempt, socket.socket(socket.AF_UNIX) as reservation:
            try:
                reservation.bind(f"\0rollout-test-port-{port}")
                attempt.bind((HOST, port))
            except OSError:
                continue
            attempt.close()
            yield port
            return
    raise OSError("no port of 20000 to 32000 is free")
