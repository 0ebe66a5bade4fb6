"""Image archives: reproducible, and loaded without the layers that the cluster has."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from e2e.cluster import archive, loading
from e2e.cluster.archive import Image


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"#!/bin/true\n")
    path.chmod(0o700)
    return path


def write(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as target:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def two_layers(path: Path) -> tuple[Path, list[str]]:
    """An archive as buildah and Docker write it: layers named by the digest of their content."""
    layers = [digest(b"base"), digest(b"code")]
    config = json.dumps({"rootfs": {"diff_ids": [f"sha256:{layer}" for layer in layers]}}).encode()
    manifest = [
        {
            "Config": f"{digest(config)}.json",
            "RepoTags": ["localhost/x:1"],
            "Layers": [f"{layer}.tar" for layer in layers],
        }
    ]
    write(
        path,
        {
            f"{layers[0]}.tar": b"base",
            f"{layers[1]}.tar": b"code",
            f"{digest(config)}.json": config,
            "manifest.json": json.dumps(manifest).encode(),
        },
    )
    return path, [f"sha256:{layer}" for layer in layers]


def test_the_same_image_is_the_same_bytes(tmp_path: Path, program: Path) -> None:
    image = Image(reference="localhost/x:1", files={"/bin/x": program}, entrypoint=("/bin/x",))
    archive.write(image, tmp_path / "a.tar")
    archive.write(image, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_image_has_its_files_and_runs_as_nobody(tmp_path: Path, program: Path) -> None:
    image = Image(reference="localhost/x:1", files={"/bin/x": program}, entrypoint=("/bin/x",))
    archive.write(image, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as found:
        (manifest,) = json.loads(loading._read(found, "manifest.json"))
        config = json.loads(loading._read(found, manifest["Config"]))
        layer = loading._read(found, manifest["Layers"][0])
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert config["config"]["User"] == "65532"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest(layer)}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert files.getnames() == ["tmp", "bin", "bin/x"]
        assert files.getmember("bin/x").mode == 0o755


@pytest.mark.parametrize(
    ("known", "carried"), [((), (0, 1)), ((0,), (1,)), ((0, 1), ())], ids=["none", "base", "all"]
)
def test_only_layers_that_are_not_known_are_carried(
    tmp_path: Path, known: tuple[int, ...], carried: tuple[int, ...]
) -> None:
    path, layers = two_layers(tmp_path / "x.tar")
    output = io.BytesIO()
    assert loading.difference(path, {layers[index] for index in known}, output) == layers
    with tarfile.open(fileobj=io.BytesIO(output.getvalue())) as found:
        index = json.loads(loading._read(found, "index.json"))
        (entry,) = index["manifests"]
        manifest = json.loads(
            loading._read(found, f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}")
        )
        names = set(found.getnames())
    assert [layer["digest"] for layer in manifest["layers"]] == layers
    blobs = [f"blobs/sha256/{layer.removeprefix('sha256:')}" for layer in layers]
    assert {index for index, blob in enumerate(blobs) if blob in names} == set(carried)


def test_an_archive_whose_layers_are_not_named_by_digest_is_left_as_it_is(
    tmp_path: Path, program: Path
) -> None:
    image = Image(reference="localhost/x:1", files={"/x": program}, entrypoint=("/x",))
    archive.write(image, tmp_path / "a.tar")
    (tmp_path / "text").write_text("no archive at all")
    for path in (tmp_path / "a.tar", tmp_path / "text"):
        output = io.BytesIO()
        assert loading.difference(path, set(), output) == []
        assert not output.getvalue()
