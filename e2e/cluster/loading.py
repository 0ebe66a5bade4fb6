"""Image archives into the cluster, and of an archive only the layers that the cluster does not have.

A layer of half a gigabyte that has not changed need not be read again for a change of the code.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from e2e.cluster import sandbox
from e2e.cluster.layout import Layout
from e2e.cluster.processes import Process
from e2e.cluster.progress import ClusterError

LIMIT_SECONDS = 300
NAMED_BY_DIGEST = re.compile(r"[0-9a-f]{64}\.tar")


@dataclass(slots=True)
class Loaded:
    """What the cluster has, as `.cluster/loaded.json` keeps it: archives by path, layers by digest."""

    archives: dict[str, list[int]] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)


def load(cluster: Layout, holder: Process, archive: Path) -> bool:
    """Loads the archive unless the cluster has this very file; true when it did."""
    if not archive.is_file():
        raise ClusterError(
            f"there is no image archive {archive}; name a file made by `docker save`"
        )
    loaded = _known(cluster)
    stat = archive.stat()
    mark = [stat.st_size, stat.st_mtime_ns]
    if loaded.archives.get(str(archive.resolve())) == mark:
        return False
    layers = _import(holder, archive, set(loaded.layers))
    loaded.archives[str(archive.resolve())] = mark
    loaded.layers = sorted({*loaded.layers, *layers})
    cluster.loaded.write_text(json.dumps(asdict(loaded)))
    return True


def difference(archive: Path, known: set[str], output: IO[bytes]) -> list[str]:
    """Writes an OCI archive of the image in a docker archive, without the layers that are known.

    Answers the digests of all its layers; of an archive of another making, none, and writes nothing.
    """
    try:
        with tarfile.open(archive) as source:
            return _difference(source, known, output)
    except (KeyError, ValueError, tarfile.TarError):
        return []


def _known(cluster: Layout) -> Loaded:
    """Nothing, if it was never written, or by another version of this program."""
    try:
        return Loaded(**json.loads(cluster.loaded.read_text()))
    except (OSError, ValueError, TypeError):
        return Loaded()


def _import(holder: Process, archive: Path, known: set[str]) -> list[str]:
    part = archive.with_suffix(".load")
    try:
        with part.open("wb") as output:
            layers = difference(archive, known, output)
        if layers:
            try:
                _ctr(holder, part)
            except ClusterError:
                # The cluster has lost a layer that it had: all of it, then.
                _ctr(holder, archive)
            return layers
    finally:
        part.unlink(missing_ok=True)
    _ctr(holder, archive)
    return []


def _ctr(holder: Process, archive: Path) -> None:
    try:
        sandbox.run(
            holder, "ctr", "--namespace", "k8s.io", "images", "import", "-",
            stdin=archive,
            timeout=LIMIT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"loading {archive} took more than {error.timeout:.0f} s") from error


def _difference(source: tarfile.TarFile, known: set[str], output: IO[bytes]) -> list[str]:
    (image,) = json.loads(_read(source, "manifest.json"))
    names: list[str] = image["Layers"]
    (reference,) = image["RepoTags"]
    if not all(NAMED_BY_DIGEST.fullmatch(name) for name in names):
        return []
    config = _read(source, image["Config"])
    layers = [f"sha256:{name.removesuffix('.tar')}" for name in names]
    if layers != json.loads(config)["rootfs"]["diff_ids"]:
        return []
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("config.v1+json", config),
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": layer,
                    "size": source.getmember(name).size,
                }
                for layer, name in zip(layers, names, strict=True)
            ],
        }
    ).encode()
    # Two of containerd's versions look for the name under one key each.
    annotations = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference,
    }
    index = {
        "schemaVersion": 2,
        "manifests": [{**_descriptor("manifest.v1+json", manifest), "annotations": annotations}],
    }
    with tarfile.open(fileobj=output, mode="w") as target:
        _add(target, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(target, "index.json", json.dumps(index).encode())
        for blob in (config, manifest):
            _add(target, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for layer, name in zip(layers, names, strict=True):
            if layer not in known:
                entry = tarfile.TarInfo(f"blobs/sha256/{layer.removeprefix('sha256:')}")
                entry.size = source.getmember(name).size
                target.addfile(entry, source.extractfile(name))
    return layers


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {
        "mediaType": f"application/vnd.oci.image.{kind}",
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
    }


def _read(source: tarfile.TarFile, name: str) -> bytes:
    found = source.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found.read()


def _add(target: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    target.addfile(entry, io.BytesIO(content))
