from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from rollout import __version__


def rollout(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "KUBECONFIG": "/nonexistent/kubeconfig"}
    return subprocess.run(
        [sys.executable, "-m", "rollout.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
    )


def test_version_without_a_cluster() -> None:
    assert rollout("version", "--client").stdout == f"rollout {__version__}\n"


def test_a_dry_run_needs_no_cluster_and_prints_the_objects() -> None:
    done = rollout("install", "--dry-run", "--image", "rollout:1", "-n", "elsewhere")
    objects = list(yaml.safe_load_all(done.stdout))
    assert {obj["metadata"].get("namespace") for obj in objects} == {None, "elsewhere"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check",), "cannot find the API server: no such file: /nonexistent/kubeconfig"),
        (("install",), "image: name the image to run"),
        (("install", "--image", "a", "--set", "gatway.enabled=true"), "did you mean gateway?"),
        (("controller", "--minimum-interval", "soon"), "--minimum-interval soon"),
        (("agent", "proxy", "sidecar"), "POD_NAME is not set"),
    ],
)
def test_an_expected_failure_is_one_sentence_and_exit_code_1(
    arguments: tuple[str, ...], sentence: str
) -> None:
    done = rollout(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_wrong_usage_is_exit_code_2() -> None:
    assert rollout("install", "--mesh", "linkerd").returncode == 2
    assert rollout("agent", "dance").returncode == 2


def test_the_log_is_json_outside_a_terminal() -> None:
    script = (
        "import logging, structlog\n"
        "from rollout.cli.logging import configure\n"
        "configure('info')\n"
        "structlog.get_logger('a').info('started', port=1)\n"
        "structlog.get_logger('a').debug('unseen')\n"
        "logging.getLogger('library').warning('odd %s', 'thing')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(record["event"], record["level"]) for record in records] == [
        ("started", "info"),
        ("odd thing", "warning"),
    ]
