"""The servers that the suite's manifests deploy, under the names that the manifests give them.

The names are read from the suite's own sources, so that another version of it brings its own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster.archive import Image
from e2e.cluster.build import build, module_directory
from e2e.cluster.images import archived

SUITE = "sigs.k8s.io/gateway-api"
ECHO = "istio.io/istio"


def sources() -> Path:
    """The suite's module: its manifests, and the CRDs of the same version."""
    return module_directory("conformance", SUITE)


def archives() -> list[Path]:
    """An archive of each image that the manifests name, built if it is not in the cache."""
    return [_archive(reference) for reference in sorted(references(sources()))]


def references(suite: Path) -> set[str]:
    """Every image of the pods in the suite's base and mesh manifests."""
    found: set[str] = set()
    for part in ("base", "mesh"):
        for each in yaml.safe_load_all((suite / "conformance" / part / "manifests.yaml").open()):
            found |= _images(each)
    return found


def _images(written: Any) -> set[str]:
    if isinstance(written, dict):
        named = written.get("image")
        own = {named} if isinstance(named, str) else set()
        return own.union(*(_images(value) for value in written.values()))
    if isinstance(written, list):
        return set().union(*(_images(value) for value in written))
    return set()


def _archive(reference: str) -> Path:
    name = reference.rpartition("/")[2].partition(":")[0]
    image = _MADE[name](reference)
    content = hashlib.sha256(repr((reference, sorted(image.files.items()))).encode())
    return archived(f"{name}-{content.hexdigest()[:12]}", image)


def _basic(reference: str) -> Image:
    return Image(
        reference=reference, files={"/echo-basic": build("echo-basic")}, entrypoint=("/echo-basic",)
    )


def _advanced(reference: str) -> Image:
    """Istio's own echo, as its image has it: the suite runs `client` in the pods."""
    certificates = module_directory("echo", ECHO) / "tests" / "testdata" / "certs" / "dns"
    return Image(
        reference=reference,
        files={
            "/usr/local/bin/server": build("echo-server"),
            "/usr/local/bin/client": build("echo-client"),
            "/cert.crt": certificates / "cert-chain.pem",
            "/cert.key": certificates / "key.pem",
        },
        entrypoint=("/usr/local/bin/server",),
        environment={"PATH": "/usr/local/bin"},
        user=1338,
    )


def _dns(reference: str) -> Image:
    """Run as root: it listens on port 53, for which its pod has the capability."""
    return Image(
        reference=reference,
        files={"/coredns": build("coredns")},
        entrypoint=("/coredns",),
        user=0,
    )


_MADE = {"echo-basic": _basic, "echo-advanced": _advanced, "coredns": _dns}
