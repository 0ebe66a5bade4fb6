"""`CLUSTER=kind`: the same commands on a cluster of kind's, for machines where Docker and kind are at hand.

Not tried by this project's own CI, which has no Docker. There is no audit log, so the scenario that
counts an idle canary's requests needs the project's own cluster.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.layout import GATEWAY_PORT, KUBERNETES, Layout
from e2e.cluster.progress import ClusterError, say, step

NAME = "rollout"
NODE_IMAGE = f"kindest/node:v{KUBERNETES}"


def up(cluster: Layout, port: int) -> None:
    """A cluster named rollout whose host port 8080 is `port` of 127.0.0.1."""
    if trouble(cluster):
        cluster.directory.mkdir(parents=True, exist_ok=True)
        mapping = {"containerPort": GATEWAY_PORT, "hostPort": port, "listenAddress": "127.0.0.1"}
        config = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane", "extraPortMappings": [mapping]}],
        }
        with step("creating a cluster with kind"):
            _kind(
                "create", "cluster", "--name", NAME, "--image", NODE_IMAGE, "--wait", "120s",
                "--kubeconfig", str(cluster.kubeconfig), "--config", "-",
                text=json.dumps(config),
            )  # fmt: skip
    say(f"kind's cluster {NAME} is up; export KUBECONFIG={cluster.kubeconfig}")


def trouble(cluster: Layout) -> str | None:
    """What keeps the cluster from being used, as a clause; None when nothing does."""
    if NAME not in _kind("get", "clusters").split():
        return f"kind has no cluster {NAME}"
    if not cluster.kubeconfig.exists():
        return f"there is no {cluster.kubeconfig}"
    return None


def load_all(cluster: Layout, archives: list[Path]) -> None:
    """Loads image archives into the cluster's node."""
    why = trouble(cluster)
    if why:
        raise ClusterError(f"{why}; run `make cluster`")
    for archive in archives:
        with step(f"loading {archive.name}"):
            _kind("load", "image-archive", str(archive), "--name", NAME)


def down(cluster: Layout) -> None:
    _kind("delete", "cluster", "--name", NAME)
    cluster.kubeconfig.unlink(missing_ok=True)


def clean(cluster: Layout) -> None:
    down(cluster)
    if cluster.directory.exists() and not any(cluster.directory.iterdir()):
        cluster.directory.rmdir()


def _kind(*arguments: str, text: str = "") -> str:
    if not shutil.which("kind"):
        raise ClusterError("CLUSTER=kind needs Docker and kind on the PATH; leave CLUSTER unset")
    done = subprocess.run(
        ["kind", *arguments], input=text, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise ClusterError(f"`kind {' '.join(arguments[:2])}` failed: {done.stderr.strip()}")
    return done.stdout
