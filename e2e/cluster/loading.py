"""Image archives into the cluster: only those that it does not have yet."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from e2e.cluster import sandbox
from e2e.cluster.layout import Layout
from e2e.cluster.processes import Process
from e2e.cluster.progress import ClusterError


def load(cluster: Layout, holder: Process, archive: Path) -> bool:
    """Loads the archive unless the cluster has this very file; true when it did."""
    if not archive.is_file():
        raise ClusterError(
            f"there is no image archive {archive}; name a file of `docker save` or alike"
        )
    known = json.loads(cluster.loaded.read_text()) if cluster.loaded.exists() else {}
    stat = archive.stat()
    mark = [stat.st_size, stat.st_mtime_ns]
    if known.get(str(archive)) == mark:
        return False
    try:
        sandbox.run(
            holder,
            "ctr", "--namespace", "k8s.io", "images", "import", "-",
            stdin=archive,
            timeout=300,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"loading {archive} took more than {error.timeout:.0f} s") from error
    cluster.loaded.write_text(json.dumps({**known, str(archive): mark}))
    return True
