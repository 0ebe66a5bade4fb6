from __future__ import annotations

import subprocess
import sys

from rollout.mesh.agent.process import command, traffic
from rollout.mesh.agent.settings import Settings

LIMIT_KIB = 20 << 10


def test_traffic_is_what_others_send_and_not_what_the_proxys_own_pages_are_asked() -> None:
    page = (
        "http.admin.downstream_rq_active: 1\n"
        "http.admin.downstream_cx_tx_bytes_total: 4000\n"
        "http.agent.downstream_rq_active: 1\n"
        "http.prometheus_stats.downstream_rq_active: 1\n"
        "http.inbound_0.0.0.0_8080.downstream_rq_active: 2\n"
        "http.outbound_0.0.0.0_80.downstream_rq_active: 3\n"
        "http.outbound_0.0.0.0_80.downstream_cx_rx_bytes_total: 100\n"
        "tcp.outbound|3306||db.shop.svc.cluster.local.downstream_cx_tx_bytes_total: 20\n"
    )
    assert traffic(page) == (5, 120)


def test_a_drain_asks_clients_to_leave_at_once() -> None:
    settings = Settings("sidecar", "a", "b", ("10.0.0.1",), "default", "mesh:15010")
    arguments = command(settings, "/x.json")
    assert arguments[arguments.index("--drain-strategy") + 1] == "immediate"
    assert arguments[arguments.index("--concurrency") + 1] == "2"


def test_the_agent_is_small() -> None:
    """Its imports, as the container's entry makes them, stay within 20 MiB and away from the large libraries."""
    script = (
        "import sys; import rollout.cli.main, rollout.mesh.agent.main\n"
        "heavy = {'pydantic', 'kubernetes', 'grpc', 'typer', 'asyncio', 'ssl', 'http.client', 'dataclasses'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    imported, resident = done.stdout.splitlines()
    assert imported == "[]"
    assert int(resident) < LIMIT_KIB
