"""The namespaces that the cluster lives in, and the link from the machine to it.

One init process holds a mount, a network and a process namespace. Every mount, interface, rule and
process of the cluster is inside, so that ending the init is what removes them: the kernel does it,
whatever state they were in. Outside there are only the link's end, one nftables table and the control
group, all with names of their own. It must not know that Kubernetes runs inside.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import layout
from e2e.cluster.layout import Layout
from e2e.cluster.packages import SYSTEM_PATH
from e2e.cluster.processes import Process, spawn
from e2e.cluster.progress import ClusterError

MARK = "rollout-cluster"
CGROUPS = Path("/sys/fs/cgroup")
OPEN_FILES = 1048576

# $1: the Kubernetes binary, $2 and $3: what becomes /var/lib and /var/log. Binds come before what would
# hide their sources, should the checkout itself be below /var/lib.
INSIDE = """
set -eu
mount -t proc proc /proc
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir /run/rollout
touch /run/rollout/kubernetes-node
mount --bind "$1" /run/rollout/kubernetes-node
mkdir /run/rollout/log
mount --bind "$3" /run/rollout/log
mount --bind "$2" /var/lib
mount --bind /run/rollout/log /var/log
mount --make-rshared /
"""


def create(directory: Layout, init: Path, binary: Path) -> Process:
    """The namespaces with their file systems and link; the process is the init that holds them."""
    _raise_limits()
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private"]
    keeper = spawn(
        [*command, "--kill-child", str(init), MARK, str(directory.directory)],
        directory.log("init"),
    )
    holder = _await_init(directory.directory, keeper)
    _cgroup()
    run(
        holder,
        "sh", "-c", INSIDE, "sh", str(binary), str(directory.lib), str(directory.logs),
    )  # fmt: skip
    _link(holder)
    return holder


def destroy(directory: Path) -> bool:
    """Ends everything of the cluster of that directory that still runs; true if there was something."""
    found = [holder for holder, home in holders() if home == directory]
    for holder in found:
        # One that stands still never takes note of its child's end, and the kernel would wait for that.
        for entered in _entered(holder):
            os.kill(entered, signal.SIGKILL)
        if not holder.kill():
            raise ClusterError(
                f"process {holder.pid}, which holds the cluster of {directory}, does not end; "
                "something in it hangs in the kernel: restart the machine"
            )
    return bool(found)


def sweep() -> None:
    """Removes what is outside of the namespaces, when no cluster of any directory runs any more."""
    if holders():
        return
    _quiet("ip", "link", "delete", layout.LINK)
    _quiet("nft", "delete", "table", "ip", layout.NFT_TABLE)
    deadline = time.monotonic() + 10
    while _groups() and time.monotonic() < deadline:
        for group in _groups():
            # The kernel needs a moment between the last process's end and an empty group.
            with contextlib.suppress(OSError):
                group.rmdir()
        time.sleep(0.02)


def _entered(holder: Process) -> list[int]:
    """The programs outside through which the cluster's own were started in its namespaces."""
    begin = b"nsenter\0--target\0%d\0" % holder.pid
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cmdline").read_bytes().startswith(begin):
                found.append(int(entry.name))
    return found


def holders() -> list[tuple[Process, Path]]:
    """The init of every cluster on this machine, with the directory that it belongs to."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if len(command) > 2 and command[1] == MARK.encode() and b"pause-" in command[0]:
            process = Process.of(int(entry.name))
            if process.alive():
                found.append((process, Path(os.fsdecode(command[2]))))
    return found


def entering(holder: Process) -> list[str]:
    """The beginning of a command line that runs inside."""
    return ["nsenter", "--target", str(holder.pid), "--mount", "--net", "--pid", "--"]


def run(holder: Process, *command: str, stdin: Path | None = None, timeout: float = 120) -> str:
    """Runs a command inside to its end; a ClusterError has its last words when it fails."""
    with (stdin or Path(os.devnull)).open("rb") as source:
        done = subprocess.run(
            [*entering(holder), *command],
            stdin=source,
            capture_output=True,
            env={**os.environ, "PATH": SYSTEM_PATH},
            timeout=timeout,
            cwd="/",
            check=False,
        )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise ClusterError(
            f"`{command[0]} {command[1]} …` failed inside the cluster: {reason or 'no output'}"
        )
    return done.stdout.decode()


def start(holder: Process, command: Sequence[str], log: Path) -> Process:
    """Starts a long-running process inside; it ends with the cluster at the latest."""
    return spawn([*entering(holder), *command], log)


def forward(port: int, target_port: int) -> None:
    """Makes 127.0.0.1:`port` of this machine lead to `target_port` of the node."""
    rules = f"""
table ip {layout.NFT_TABLE}
delete table ip {layout.NFT_TABLE}
table ip {layout.NFT_TABLE} {{
  chain output {{
    type nat hook output priority -100;
    ip daddr 127.0.0.1 tcp dport {port} dnat to {layout.NODE_ADDRESS}:{target_port}
  }}
  chain postrouting {{
    type nat hook postrouting priority 100;
    oifname "{layout.LINK}" ip saddr 127.0.0.1 masquerade
  }}
}}
"""
    _host("nft", "-f", "-", text=rules)


def _raise_limits() -> None:
    """As many open files for the cluster's processes as the machine lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, OPEN_FILES), hard):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return


def _await_init(directory: Path, keeper: Process) -> Process:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for holder, home in holders():
            if home == directory:
                return holder
        if not keeper.alive():
            break
        time.sleep(0.01)
    raise ClusterError(
        "the kernel did not give the cluster namespaces of its own; if this machine is itself a "
        "container, run it privileged"
    )


def _link(holder: Process) -> None:
    _host(
        "ip", "link", "add", layout.LINK, "type", "veth", "peer", "eth0", "netns", str(holder.pid)
    )
    _host("ip", "address", "add", f"{layout.HOST_ADDRESS}/30", "dev", layout.LINK)
    _host("ip", "link", "set", layout.LINK, "up")
    run(holder, "sh", "-c", f"""
set -eu
ip link set lo up
ip address add {layout.NODE_ADDRESS}/30 dev eth0
ip link set eth0 up
# kube-proxy's rules see only packets that have a route: the API server calls webhooks by their services.
ip route add {layout.SERVICE_RANGE} dev eth0 src {layout.NODE_ADDRESS}
echo 1 > /proc/sys/net/ipv4/ip_forward
""")  # fmt: skip
    _host("ip", "route", "add", layout.NETWORK, "via", layout.NODE_ADDRESS, "dev", layout.LINK)
    # Packets from 127.0.0.1 may leave by this link only, for `forward`.
    Path(f"/proc/sys/net/ipv4/conf/{layout.LINK}/route_localnet").write_text("1")


def _cgroup() -> None:
    """The group that pods live below, in every hierarchy (version 1) or in the one (version 2)."""
    controllers = CGROUPS / "cgroup.controllers"
    if controllers.exists():
        wanted = {"cpu", "cpuset", "memory", "hugetlb", "pids"} & set(
            controllers.read_text().split()
        )
        (CGROUPS / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
        (CGROUPS / layout.CGROUP).mkdir(exist_ok=True)
        return
    for hierarchy in CGROUPS.iterdir():
        if hierarchy.is_dir() and not hierarchy.is_symlink():
            (hierarchy / layout.CGROUP).mkdir(exist_ok=True)


def _groups() -> list[Path]:
    """Every control group of ours, deepest first."""
    tops = [CGROUPS / layout.CGROUP, *CGROUPS.glob(f"*/{layout.CGROUP}")]
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]


def _host(*command: str, text: str | None = None) -> None:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        env={**os.environ, "PATH": SYSTEM_PATH},
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def _quiet(*command: str) -> None:
    with contextlib.suppress(ClusterError, FileNotFoundError):
        _host(*command)
