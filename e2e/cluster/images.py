"""The images that run on the cluster: of our Go programs one layer each, of `rollout` its Containerfile.

Knows what is in each image; `archive` and `containerfile` know how one is made.
"""

from __future__ import annotations

from pathlib import Path

from e2e.cluster import archive
from e2e.cluster.archive import Image
from e2e.cluster.build import PODINFO, build, locked, module_directory
from e2e.cluster.layout import cache
from e2e.cluster.node import PAUSE_IMAGE

COREDNS = "localhost/rollout/coredns:1.15.0"
PROMETHEUS = "localhost/rollout/prometheus:3.15.0"
FORTIO = "localhost/rollout/fortio:1.68.0"
SYSTEM = ("pause", "coredns")
APPLICATIONS = ("prometheus", "fortio", *(f"podinfo-{version}" for version in PODINFO))

_REFERENCES = {"pause": PAUSE_IMAGE, "coredns": COREDNS, "prometheus": PROMETHEUS, "fortio": FORTIO}
_PODINFO_MODULE = "github.com/stefanprodan/podinfo"


def program_archive(name: str) -> Path:
    """The archive of the named program's image, built if it is not in the cache."""
    binary = build(name)
    return archived(binary.name, _image(name, binary))


def archived(name: str, image: Image) -> Path:
    """The archive of the image, written unless the cache has one of that name, which says what is in it."""
    path = cache() / "images" / f"{name}.tar"
    with locked(path.name):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            fresh = path.with_suffix(".part")
            archive.write(image, fresh)
            fresh.replace(path)
    return path


def _image(name: str, binary: Path) -> Image:
    if not name.startswith("podinfo-"):
        return Image(
            reference=_REFERENCES[name], files={f"/{name}": binary}, entrypoint=(f"/{name}",)
        )
    page = module_directory("parts", _PODINFO_MODULE) / "ui" / "vue.html"
    return Image(
        reference=f"localhost/rollout/podinfo:{name.removeprefix('podinfo-')}",
        files={"/home/app/podinfo": binary, "/home/app/ui/vue.html": page},
        entrypoint=("./podinfo",),
        directory="/home/app",
        user=10001,
    )
