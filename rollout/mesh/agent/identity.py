"""The proxy's identity over time: got before Envoy starts, renewed at half its life, kept while nobody can renew it.

Must not know keys or X.509: a process of its own gets each certificate, and Envoy reads the files by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.mesh.agent.settings import ROOTS, ROOTS_FILE, TOKEN, TOKEN_FILE, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES_FILE = "identity-times.json"
SECONDS = 40.0
LEAST_WAIT, MOST_WAIT = 1.0, 60.0
_SPARE = 30.0
"""A certificate that ends sooner is not worth starting with."""


def secret(name: str, **content: Any) -> dict[str, Any]:
    """A file that Envoy finds one secret in."""
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    return {"resources": [{"@type": kind, "name": name, **content}]}


def write_sources(settings: Settings) -> None:
    """Tells Envoy where kubelet puts the token and the roots; it reads them again when kubelet renews them."""
    directory = Path(settings.config_dir)
    token = {"secret": _file(settings.token_file)}
    (directory / TOKEN_FILE).write_text(json.dumps(secret(TOKEN, generic_secret=token)))
    roots = {
        "trusted_ca": {"filename": settings.roots_file},
        "watched_directory": {"path": os.path.dirname(settings.roots_file)},  # noqa: PTH120
    }
    (directory / ROOTS_FILE).write_text(json.dumps(secret(ROOTS, validation_context=roots)))


def _file(path: str) -> dict[str, Any]:
    return {"filename": path, "watched_directory": {"path": os.path.dirname(path)}}  # noqa: PTH120


class Identity:
    """Gets certificates; `problem` says why there is none yet."""

    def __init__(self, settings: Settings, get: Callable[[Settings], str] | None = None) -> None:
        self._settings = settings
        self._get = get or in_a_process
        self.problem = "no certificate yet"

    def obtain(self) -> None:
        """Blocks until there is a certificate: the one from before a restart, or a new one."""
        wait = LEAST_WAIT
        while not self._until() > _now() + _SPARE:
            if self._renewed():
                break
            time.sleep(jittered(wait))
            wait = min(wait * 2, MOST_WAIT)
        self.problem = ""

    def keep(self) -> None:
        """Renews in the background from now on."""
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        wait = LEAST_WAIT
        while True:
            since, until = times(self._settings)
            time.sleep(max(since + (until - since) * jittered(0.5) - _now(), wait))
            wait = LEAST_WAIT if self._renewed() else min(wait * 2, MOST_WAIT)

    def _until(self) -> float:
        return times(self._settings)[1]

    def _renewed(self) -> bool:
        problem = self._get(self._settings)
        if problem:
            self.problem = f"no certificate: {problem}"
            print(f"agent: {self.problem}", file=sys.stderr)  # noqa: T201 - its only voice
        return not problem


def times(settings: Settings) -> tuple[float, float]:
    """When the certificate at hand came and when it ends, seconds since 1970; both 0 where there is none."""
    try:
        found = json.loads((Path(settings.config_dir) / TIMES_FILE).read_text())
        return float(found["since"]), float(found["until"])
    except (OSError, ValueError, KeyError):
        return 0.0, 0.0


def _now() -> float:
    return datetime.now(UTC).timestamp()


def jittered(value: float) -> float:
    """Up to a fifth more or less, so that proxies of one moment don't all come at once."""
    return value * (0.8 + 0.4 * os.urandom(1)[0] / 255)


def in_a_process(settings: Settings) -> str:
    """One certificate; what went wrong, or nothing."""
    command = [sys.executable, "-m", "rollout.mesh.agent.certificate", settings.proxy_type]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if not done.returncode:
        return ""
    return (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:500]
