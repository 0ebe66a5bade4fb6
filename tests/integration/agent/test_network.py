"""The agent in a network namespace of its own: the real iptables, the real Envoy, on the ports that pods have."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.integration.envoy import envoy_binary

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.usefixtures("network_tools")

PRELUDE = """
import json, os, signal, socket, subprocess, sys, threading, time
from rollout.mesh.agent.plainhttp import HttpError, ask

ENV = dict(
    os.environ, POD_NAME="catalog-1", POD_NAMESPACE="shop", INSTANCE_IP="10.1.1.1",
    INSTANCE_IPS="10.1.1.1", DISCOVERY_ADDRESS="127.0.0.1:15010", CONTROL_PLANE_AUTH_POLICY="NONE",
)
AGENT = [sys.executable, "-m", "rollout.mesh.agent"]

def until(check, seconds=10):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)

def page(port, path, method="GET"):
    try:
        return ask("127.0.0.1", port, path, method=method)
    except HttpError:
        return None
"""


def in_namespace(script: str, tmp_path: Path) -> str:
    """Run a script as root of a fresh network namespace with a loopback and one more address; its output."""
    path = tmp_path / "script.py"
    path.write_text(PRELUDE + textwrap.dedent(script))
    setup = "ip link set lo up && ip address add 10.1.1.1/32 dev lo && exec "
    done = subprocess.run(
        [
            *("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", setup + '"$0" "$1"', sys.executable, str(path)),
        ],
        cwd=ROOT,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(ROOT),
            "ENVOY_BINARY": str(envoy_binary()),
            "PROXY_CONFIG_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rules_are_accepted_and_applied_twice_are_the_same(tmp_path: Path) -> None:
    out = in_namespace(
        """
        saved = []
        for _ in range(2):
            env = dict(ENV, EXCLUDE_OUTBOUND_IP_RANGES="10.9.0.0/16")
            subprocess.run([*AGENT, "iptables"], env=env, check=True, stdout=subprocess.DEVNULL)
            text = subprocess.check_output(["iptables-save", "-t", "nat"], text=True)
            saved.append([l for l in text.splitlines() if l.startswith("-A")])
        assert saved[0] == saved[1], saved
        print(len(saved[0]), *saved[0], sep="\\n")
        """,
        tmp_path,
    )
    assert "-A ISTIO_OUTPUT -d 10.9.0.0/16 -j RETURN" in out
    assert "-A PREROUTING -p tcp -j ISTIO_INBOUND" in out


def test_traffic_goes_where_the_rules_say(tmp_path: Path) -> None:
    """Outbound connections reach 15001; the proxy's own do not, nor do those from the bypass source."""
    in_namespace(
        """
        subprocess.run([*AGENT, "iptables"], env=ENV, check=True, stdout=subprocess.DEVNULL)
        subprocess.run("ip link add v0 type veth peer name v1 && ip address add 10.1.2.1/24 dev v0"
                       " && ip link set v0 up && ip link set v1 up", shell=True, check=True)
        def listen(port):
            server = socket.create_server(("0.0.0.0", port))
            def loop():
                while True:
                    connection, _ = server.accept()
                    connection.sendall(str(port).encode())
                    connection.close()
            threading.Thread(target=loop, daemon=True).start()
        for port in (15001, 15006, 8080):
            listen(port)
        def reaches(host, port, source=None):
            with socket.create_connection((host, port), 3, (source, 0) if source else None) as c:
                return int(c.recv(10))
        assert reaches("10.1.2.99", 80) == 15001, "a call of the application to elsewhere"
        assert reaches("127.0.0.1", 8080) == 8080, "the pod's own loopback"
        assert reaches("10.1.1.1", 8080, "127.0.0.6") == 8080, "the proxy to its application"
        """,
        tmp_path,
    )


def test_envoy_lives_and_ends_with_the_agent(tmp_path: Path) -> None:
    in_namespace(
        """
        agent = subprocess.Popen([*AGENT, "proxy", "sidecar"], env=ENV)
        until(lambda: (answer := page(15020, "/healthz/ready")) and b"no clusters" in answer.body)
        assert page(15020, "/stats/prometheus").status == 200
        begun = time.monotonic()
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(10) == 0
        assert time.monotonic() - begun < 3, "a proxy without requests does not wait for long"
        assert page(15000, "/stats") is None, "Envoy is gone too"
        """,
        tmp_path,
    )


def test_a_gateway_stays_for_those_who_still_come(tmp_path: Path) -> None:
    in_namespace(
        """
        agent = subprocess.Popen([*AGENT, "proxy", "router"], env=ENV)
        until(lambda: (answer := page(15020, "/healthz/ready")) and b"no clusters" in answer.body)
        begun = time.monotonic()
        agent.send_signal(signal.SIGTERM)
        until(lambda: page(15020, "/healthz/ready").body == b"draining\\n")
        assert page(15000, "/stats") is not None
        assert agent.wait(10) == 0
        assert 2.5 < time.monotonic() - begun < 6
        """,
        tmp_path,
    )


def test_a_sidecar_stays_until_its_callers_have_gone_elsewhere(tmp_path: Path) -> None:
    """Between two requests nothing is in flight, and the callers have yet to learn that the pod leaves."""
    in_namespace(
        """
        import http.client
        from pathlib import Path
        from rollout.mesh.agent.bootstrap import render
        from rollout.mesh.agent.process import Supervisor, command
        from rollout.mesh.agent.readiness import Readiness
        from rollout.mesh.agent.settings import from_environment

        V3 = "type.googleapis.com/envoy.extensions.filters"
        ROUTES = {"name": "all", "domains": ["*"],
                  "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}]}
        MANAGER = {"@type": f"{V3}.network.http_connection_manager.v3.HttpConnectionManager",
                   "stat_prefix": "inbound", "route_config": {"virtual_hosts": [ROUTES]},
                   "http_filters": [{"name": "router", "typed_config": {"@type": f"{V3}.http.router.v3.Router"}}]}

        def answers():
            connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=5)
            try:
                connection.request("GET", "/")
                return connection.getresponse().status == 204
            except OSError:
                return False
            finally:
                connection.close()

        settings = from_environment("sidecar", ENV)
        document = render(settings, {})
        del document["dynamic_resources"]
        document["static_resources"]["listeners"].append({
            "name": "application",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 8080}},
            "filter_chains": [{"filters": [{"name": "http", "typed_config": MANAGER}]}],
        })
        config = Path(settings.config_dir) / "envoy.json"
        config.write_text(json.dumps(document))
        child = os.fork()
        if not child:
            os._exit(Supervisor(settings, Readiness()).run(command(settings, str(config))))
        until(answers)

        os.kill(child, signal.SIGTERM)
        asked_until = time.monotonic() + 2.5
        while time.monotonic() < asked_until:
            assert answers(), "it left while it was asked"
            time.sleep(0.3)
        until(lambda: os.waitpid(child, os.WNOHANG) == (child, 0))
        assert not answers()
        """,
        tmp_path,
    )


def test_an_envoy_that_dies_takes_the_agent_with_it(tmp_path: Path) -> None:
    in_namespace(
        """
        agent = subprocess.Popen([*AGENT, "proxy", "sidecar"], env=ENV)
        until(lambda: page(15000, "/stats") is not None)
        children = open(f"/proc/{agent.pid}/task/{agent.pid}/children").read().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert agent.wait(10) == 128 + signal.SIGKILL
        """,
        tmp_path,
    )


def test_quitquitquit_ends_it(tmp_path: Path) -> None:
    in_namespace(
        """
        agent = subprocess.Popen([*AGENT, "proxy", "sidecar"], env=ENV)
        until(lambda: page(15020, "/healthz/ready") is not None)
        assert page(15020, "/quitquitquit", "POST").status == 200
        assert agent.wait(10) == 0
        """,
        tmp_path,
    )
