"""A real InfluxDB and a real Graphite for as long as a block lasts: the distribution's programs, on ports of their own.

They are Debian's `influxdb`, `graphite-carbon` and `graphite-web`, installed where they are missing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.cluster.packages import require

READY_SECONDS = 30.0
_PYTHON = "/usr/bin/python3"  # the one that the distribution's packages are for
_WEB = Path("/usr/share/graphite-web")
_SERVE = (
    "import sys; from wsgiref.simple_server import make_server;"
    " from graphite.wsgi import application;"
    " make_server('127.0.0.1', int(sys.argv[1]), application).serve_forever()"
)


@contextmanager
def influxdb() -> Iterator[str]:
    """The address of an InfluxDB 1.x without data."""
    require({"influxd": "influxdb"})
    with ExitStack() as stack:
        directory = stack.enter_context(_directory())
        port, rpc = _free_port(), _free_port()
        environment = {
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{rpc}",
            "INFLUXDB_META_DIR": f"{directory}/meta",
            "INFLUXDB_DATA_DIR": f"{directory}/data",
            "INFLUXDB_DATA_WAL_DIR": f"{directory}/wal",
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_MONITOR_STORE_ENABLED": "false",
            "HOME": str(directory),
        }
        (directory / "empty.conf").touch()
        command = ["influxd", "-config", str(directory / "empty.conf")]
        running = stack.enter_context(_running(command, environment, directory / "log"))
        _until_answers(f"http://127.0.0.1:{port}/ping", running, directory / "log")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def graphite() -> Iterator[tuple[str, int]]:
    """The address of graphite-web, and carbon's port for `path value time` lines; a point holds for a second."""
    require({"carbon-cache": "graphite-carbon", str(_WEB): "graphite-web"})
    with ExitStack() as stack:
        directory = stack.enter_context(_directory())
        lines, pickle, query, web = (_free_port() for _ in range(4))
        _carbon_config(directory, lines, pickle, query)
        _web_config(directory, query)
        carbon = stack.enter_context(
            _running(
                ["carbon-cache", "--nodaemon", f"--config={directory}/carbon.conf", "start"],
                {"GRAPHITE_ROOT": str(directory)},
                directory / "carbon.log",
            )
        )
        environment = {
            "DJANGO_SETTINGS_MODULE": "graphite.settings",
            "GRAPHITE_SETTINGS_MODULE": "test_settings",
            "PYTHONPATH": str(directory),
        }
        serving = stack.enter_context(
            _running([_PYTHON, "-c", _SERVE, str(web)], environment, directory / "web.log")
        )
        address = f"http://127.0.0.1:{web}"
        _until_answers(f"{address}/render?target=x&format=json", serving, directory / "web.log")
        _until_listening(lines, carbon, directory / "carbon.log")
        yield address, lines


def _carbon_config(directory: Path, lines: int, pickle: int, query: int) -> None:
    (directory / "storage-schemas.conf").write_text("[all]\npattern = .*\nretentions = 1s:1h\n")
    (directory / "carbon.conf").write_text(
        "\n".join(
            (
                "[cache]",
                f"STORAGE_DIR = {directory}",
                f"CONF_DIR = {directory}",
                f"LOCAL_DATA_DIR = {directory}/whisper",
                f"LOG_DIR = {directory}",
                f"PID_DIR = {directory}",
                "USER =",
                "LINE_RECEIVER_INTERFACE = 127.0.0.1",
                f"LINE_RECEIVER_PORT = {lines}",
                "PICKLE_RECEIVER_INTERFACE = 127.0.0.1",
                f"PICKLE_RECEIVER_PORT = {pickle}",
                "CACHE_QUERY_INTERFACE = 127.0.0.1",
                f"CACHE_QUERY_PORT = {query}",
                "",
            )
        )
    )


def _web_config(directory: Path, query: int) -> None:
    (directory / "whisper").mkdir()
    settings = {
        "SECRET_KEY": "test",
        "GRAPHITE_ROOT": str(_WEB),
        "STORAGE_DIR": str(directory),
        "WHISPER_DIR": str(directory / "whisper"),
        "CONF_DIR": str(directory),
        "LOG_DIR": str(directory),
        "INDEX_FILE": str(directory / "index"),
        "STATIC_ROOT": str(_WEB / "static"),
        "CARBONLINK_HOSTS": [f"127.0.0.1:{query}"],
        "DEFAULT_CACHE_DURATION": 0,
        "DATABASES": {
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / "db")}
        },
    }
    text = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    (directory / "test_settings.py").write_text(text)


@contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="rollout-metrics-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _until_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(log.read_text())


def _until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(log.read_text())


def _free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])
