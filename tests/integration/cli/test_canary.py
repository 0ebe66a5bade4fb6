"""The commands about canaries as processes, against a real API server with a real controller."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT
from tests.integration.apiserver import ApiServer
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment
from tests.waiting import until


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(slots=True)
class Cli:
    """`rollout` in the namespace of a test."""

    lab: Lab
    kubeconfig: Path

    async def __call__(self, *arguments: str, module: str = "rollout.cli.main") -> Done:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"import sys; sys.argv[0] = 'rollout'; from {module} import main; main()",
            *arguments, "--kubeconfig", str(self.kubeconfig), "-n", self.lab.namespace,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return Done(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def lab(lab: Lab) -> Lab:
    metric = {"name": "errors", "query": "vector(0.5)", "thresholdRange": {"max": 1}}
    # Many small steps: commands are slow to start on a busy machine.
    analysis = {"interval": "1s", "threshold": 2, "stepWeight": 1, "metrics": [metric]}
    release = canary(analysis=analysis)
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    return lab


@pytest.fixture
def cli(lab: Lab, apiserver: ApiServer) -> Cli:
    return Cli(lab, apiserver.kubeconfig)


async def progressing(lab: Lab, image: str, weight: int = 1) -> None:
    await lab.new_image(image)
    await until(lambda: lab.shown[-1:] == [("Progressing", weight)], f"{weight} %")


async def test_a_revision_is_paused_resumed_aborted_retried_and_promoted(
    lab: Lab, cli: Cli
) -> None:
    name = "catalog-release"
    async with lab.controller():
        waited = asyncio.ensure_future(cli("status", name, "--timeout", "30"))
        await lab.phase("Initialized")
        assert (await waited).code == 0
        refused = await cli("promote", name)
        assert refused.code == 1
        assert f"cannot promote {name}.{lab.namespace}: it is Initialized" in refused.err

        await progressing(lab, "catalog:2")
        paused = await cli("pause", name)
        assert (paused.code, "is paused" in paused.out) == (0, True)
        shown = lab.shown[-1]
        assert (await cli("status", name, "--timeout", "2")).code == 3
        assert "it is paused" in (await cli("abort", name)).err
        assert lab.shown[-1] == shown or lab.shown[-2] == shown
        await cli("resume", name)
        aborted = await cli("abort", name)
        assert aborted.out == f"Rolling back {name}.{lab.namespace} aborted by command\n"
        failed = await cli("status", name)
        assert failed.code == 1
        assert "is Failed: Rolling back" in failed.out
        assert lab.weights[-1] == (100, 0)

        assert (await cli("retry", name)).code == 0
        await lab.phase("Progressing")
        promoted = await cli("promote", name, module="rollout.cli.canary.plugin")
        assert (promoted.code, promoted.err) == (0, "")
        assert (await cli("status", name)).code == 0

        runs = json.loads((await cli("history", name, "-o", "json")).out)
        assert [run["phase"] for run in runs] == ["Initialized", "Failed", "Succeeded"]
        assert (await lab.get(CANARY, name))["status"]["history"][-1]["phase"] == "Succeeded"


async def test_what_is_seen_of_a_rollout(lab: Lab, cli: Cli) -> None:
    name = "catalog-release"
    async with lab.controller():
        await lab.phase("Initialized")
        watching = asyncio.ensure_future(cli_for(cli, 8.0, "get", name, "-w"))
        await progressing(lab, "catalog:2", 2)
        await lab.patch(CANARY, name, {"spec": {"suspend": True}})
        await lab.failing_pod("no\x1b[31m such image")
        tree = (await cli("get", name)).out
        assert "⧉ catalog (canary)" in tree
        assert "ImagePullBackOff of catalog (no [31m such image)" in tree
        assert "✔ errors  0.5 (wants <= 1)" in tree
        assert "\x1b" not in tree, "no colours but at a terminal, and none that a message brings"
        why = (await cli("explain", name)).out
        assert "Pod catalog-x of the canary: ImagePullBackOff" in why
        assert "It is paused: `rollout resume catalog-release`" in why
        listed = (await cli("get")).out.splitlines()
        assert listed[0].split() == [
            "NAME",
            "STATUS",
            "WEIGHT",
            "STEPS",
            "CHECKS",
            "MOVED",
            "REASON",
        ]
        assert listed[1].startswith(name)
        lines = (await watching).out.splitlines()
        assert len(lines) == len(set(lines)), "a line per change"
        assert lines[-1].endswith("%, paused")


async def cli_for(cli: Cli, seconds: float, *arguments: str) -> Done:
    """Until Ctrl-C."""
    process = await asyncio.create_subprocess_exec(
        "timeout", "--signal=INT", str(seconds), sys.executable, "-m", "rollout.cli.main", *arguments,
        "--kubeconfig", str(cli.kubeconfig), "-n", cli.lab.namespace,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


async def test_who_is_not_there_is_said_so(lab: Lab, cli: Cli) -> None:
    done = await cli("get", "nobody")
    assert done.code == 1
    assert done.err == (
        f"rollout: there is no Canary 'nobody' in namespace '{lab.namespace}';"
        " `rollout get -A` lists them all\n"
    )


async def test_without_a_controller_commands_say_that_nobody_answers(lab: Lab, cli: Cli) -> None:
    status = {
        "status": {"phase": "Progressing", "canaryWeight": 10, "failedChecks": 0, "iterations": 0}
    }
    await lab.patch(CANARY, "catalog-release", status, subresource="status")
    done = await cli("abort", "catalog-release", "--wait", "1")
    assert done.code == 1
    assert "no controller has answered within 1 s" in done.err


async def test_at_a_terminal_the_tree_is_drawn_over_itself(lab: Lab, cli: Cli) -> None:
    """On a pseudo-terminal: colours, one frame over the other, and nothing of the screen is cleared."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    termios.tcsetwinsize(slave, (40, 120))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rollout.cli.main", "get", "catalog-release", "-w",
        "--kubeconfig", str(cli.kubeconfig), "-n", lab.namespace,
        stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    seen = b""
    async with asyncio.timeout(60):
        # Ages grow: a frame a second.
        while seen.count(b"Status:") < 3 and process.returncode is None:
            await asyncio.sleep(0.1)
            with suppress(BlockingIOError, OSError):
                seen += os.read(master, 65536)
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()
    os.close(master)
    text = seen.decode()
    assert text.count("Status:") >= 3
    assert "\x1b[2J" not in text
    assert "\x1b[36m" in text or "\x1b[1;36m" in text
    assert "Traceback" not in text
