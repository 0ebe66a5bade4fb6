from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollout.mesh.agent import identity
from rollout.mesh.agent.identity import TIMES_FILE, Identity, in_a_process, times
from rollout.mesh.agent.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        "sidecar", "a", "b", ("10.0.0.1",), "c", "localhost:1", config_dir=str(tmp_path),
        token_file=str(tmp_path / "token"), roots_file=str(tmp_path / "roots"), secured=True,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LEAST_WAIT", 0.01)
    monkeypatch.setattr(identity, "MOST_WAIT", 0.05)


def issue(settings: Settings, *, since: float, seconds: float) -> None:
    now = datetime.now(UTC).timestamp()
    document = {"since": now + since, "until": now + since + seconds}
    (Path(settings.config_dir) / TIMES_FILE).write_text(json.dumps(document))


def test_it_asks_until_it_is_answered_and_says_meanwhile_why_not(settings: Settings) -> None:
    said: list[str] = []

    def get(_: Settings) -> str:
        said.append(found.problem)
        if len(said) < 3:
            return "UNAVAILABLE: nobody there"
        issue(settings, since=0, seconds=86400)
        return ""

    found = Identity(settings, get)
    found.obtain()
    assert said == ["no certificate yet", *["no certificate: UNAVAILABLE: nobody there"] * 2]
    assert found.problem == ""


def test_what_is_there_from_before_a_restart_is_used(settings: Settings) -> None:
    issue(settings, since=-80_000, seconds=86_400)
    Identity(settings, lambda _: pytest.fail("asked")).obtain()


def test_what_has_ended_is_not_used(settings: Settings) -> None:
    issue(settings, since=-90_000, seconds=86_400)
    asked: list[Settings] = []

    def get(given: Settings) -> str:
        asked.append(given)
        issue(settings, since=0, seconds=86_400)
        return ""

    Identity(settings, get).obtain()
    assert asked == [settings]


def test_it_is_renewed_at_half_its_life_and_kept_while_nobody_can(settings: Settings) -> None:
    issue(settings, since=-80_000, seconds=86_400)
    before = times(settings)
    kept: list[bool] = []
    renewed = threading.Event()

    def get(_: Settings) -> str:
        kept.append(times(settings) == before)
        if len(kept) < 3:
            return "UNAVAILABLE"
        issue(settings, since=0, seconds=86_400)
        renewed.set()
        return ""

    found = Identity(settings, get)
    found.obtain()
    found.keep()
    assert renewed.wait(30)
    assert kept == [True, True, True]
    renewed.clear()
    assert not renewed.wait(0.3), "a new one is not renewed at once"


def test_the_process_says_what_is_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "POD_NAME": "a", "POD_NAMESPACE": "b", "INSTANCE_IP": "10.0.0.1",
        "DISCOVERY_ADDRESS": "localhost:1", "TOKEN_FILE": settings.token_file,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert "No such file" in in_a_process(settings)
    assert settings.token_file in in_a_process(settings)
