"""How much memory the processes of a container's pod hold, as this machine's kernel counts it."""

from __future__ import annotations

import re
from pathlib import Path

_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def megabytes(pod_uid: str, *programs: str) -> dict[str, float]:
    """MiB (proportional set size) of a pod's processes, by those of these programs that their command begins with."""
    found = dict.fromkeys(programs, 0.0)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if pod_uid not in (process / "cgroup").read_text():
                continue
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            kilobytes = _PSS.search((process / "smaps_rollup").read_text())
        except OSError:
            continue
        for program in programs:
            if program in command and kilobytes is not None:
                found[program] += int(kilobytes[1]) / 1024
                break
    return {program: round(size, 1) for program, size in found.items()}
