"""What the launcher needs of the distribution: found on the PATH, or installed and named."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.progress import ClusterError, step

CNI_PLUGINS = Path("/usr/lib/cni")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The package of Debian and Ubuntu that brings each file or program.
NODE = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    str(CNI_PLUGINS / "ptp"): "containernetworking-plugins",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
IMAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}


def require_root() -> None:
    if os.geteuid():
        raise ClusterError(
            "a node makes namespaces, interfaces and mounts, for which it must be root; "
            "run it again with sudo"
        )


def require(programs: dict[str, str]) -> None:
    """Installs the packages of what is missing; a ClusterError lists them where there is no apt-get."""
    missing = sorted({package for name, package in programs.items() if not present(name)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise ClusterError(
            f"this machine lacks {', '.join(missing)} (Debian's names) and has no apt-get; "
            "install them with its own package manager and run it again"
        )
    with step(f"installing from the distribution: {' '.join(missing)}"):
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", *missing)


def present(name: str) -> bool:
    return Path(name).exists() or bool(shutil.which(name, path=SYSTEM_PATH))


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ClusterError(
            f"apt-get {arguments[0]} failed ({reason}); make `apt-get {' '.join(arguments)}` work "
            "and run it again"
        )
