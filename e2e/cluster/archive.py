"""Image archives made of files, in the format of `docker save`: no engine and no registry takes part.

The same input gives the same bytes, so that a digest of the archive says whether it must be loaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NOBODY = 65532


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of one layer: files by their path in it, and how it is run."""

    reference: str
    files: Mapping[str, Path]
    entrypoint: Sequence[str]
    directory: str = "/"
    user: int = NOBODY
    environment: Mapping[str, str] = field(default_factory=dict)


def write(image: Image, destination: Path) -> None:
    """Writes the archive of `image`."""
    layer = _layer(image.files)
    config = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "User": str(image.user),
                "WorkingDir": image.directory,
                "Env": [f"{name}={value}" for name, value in sorted(image.environment.items())],
            },
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps(
        [{"Config": name, "RepoTags": [image.reference], "Layers": ["layer.tar"]}]
    ).encode()
    with tarfile.open(destination, "w") as archive:
        for path, content in ((name, config), ("layer.tar", layer), ("manifest.json", manifest)):
            _add(archive, path, content, 0o644)


def _layer(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        _add_folder(layer, "tmp", 0o1777)
        for folder in sorted({str(parent) for path in files for parent in Path(path).parents}):
            if folder not in {"/", ".", "/tmp"}:
                _add_folder(layer, folder.lstrip("/"), 0o755)
        for path, source in sorted(files.items()):
            mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
            _add(layer, path.lstrip("/"), source.read_bytes(), mode)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(content))


def _add_folder(archive: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type = tarfile.DIRTYPE
    entry.mode = mode
    archive.addfile(entry)


def _architecture() -> str:
    """The machine's, by the name that images use."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
