"""The agent's command line: `proxy sidecar|router` runs Envoy, `iptables` sends the pod's traffic to it.

Must not import beyond this package: it runs beside every application, and its start is on the path of every pod.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from rollout.mesh.agent import iptables
from rollout.mesh.agent.bootstrap import render
from rollout.mesh.agent.identity import Identity, write_sources
from rollout.mesh.agent.plainhttp import serve
from rollout.mesh.agent.process import Supervisor, command
from rollout.mesh.agent.readiness import Readiness
from rollout.mesh.agent.server import Pages
from rollout.mesh.agent.settings import (
    AGENT_PORT,
    Settings,
    SettingsError,
    from_environment,
    parse_labels,
)

USAGE = "usage: rollout agent proxy sidecar|router\n       rollout agent iptables"


def main(arguments: list[str]) -> int:
    """Run one of the two commands; returns the exit code."""
    try:
        match arguments:
            case ["proxy", proxy_type]:
                return _proxy(from_environment(proxy_type, os.environ))
            case ["iptables"]:
                return iptables.apply(iptables.from_environment(os.environ))
    except (SettingsError, iptables.RulesError) as error:
        print(f"agent: {error}", file=sys.stderr)  # noqa: T201 - the container's log is its only voice
        return 1
    print(USAGE, file=sys.stderr)  # noqa: T201
    return 2


def _proxy(settings: Settings) -> int:
    labels_file = Path(settings.labels_file)
    labels = parse_labels(labels_file.read_text()) if labels_file.exists() else {}
    config = Path(settings.config_dir) / "envoy.json"
    try:
        config.write_text(json.dumps(render(settings, labels), indent=1))
        if settings.secured:
            write_sources(settings)
    except OSError as error:
        raise SettingsError(
            f"cannot write {config}: {error.strerror}; mount a writable volume at PROXY_CONFIG_DIR"
        ) from error
    identity = Identity(settings) if settings.secured else None
    readiness = Readiness(missing=lambda: identity.problem if identity else "")
    supervisor = Supervisor(settings, readiness)
    serve(AGENT_PORT, Pages(settings, readiness, supervisor.stop).answer)
    # Envoy finds what belongs to it by paths relative to this.
    os.chdir(settings.config_dir)
    if identity is not None:
        _identify(identity)
    return supervisor.run(command(settings, str(config)))


def _identify(identity: Identity) -> None:
    """Nothing is taken or sent without an identity."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    identity.obtain()
    identity.keep()
